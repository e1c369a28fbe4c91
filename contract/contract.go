// Package contract is the agreement between everybody who touches the queue:
// the names of the Redis keys, the fields of an entry, the shape of a result,
// and the Lua scripts through which alone a message changes its state. It does
// no I/O; docs/architecture.md describes the whole.
package contract

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Group is the consumer group of the stream of jobs.
const Group = "workers"

// Fields of an entry, in the stream of jobs and in that of dead letters; no others are
// kept when a message moves.
const (
	// FieldID identifies the message; an entry without it is known by its stream entry id.
	FieldID = "id"
	// FieldBody is the message, a JSON object.
	FieldBody = "body"
	// FieldAttempts counts the attempts that failed through the message or its answers; absent means 0.
	FieldAttempts = "attempts"
	// FieldAbandoned counts how often a worker or its model server was lost while it had the message; absent means 0.
	FieldAbandoned = "abandoned"
	// FieldReason says why a dead letter is one.
	FieldReason = "reason"
	// FieldWorker is the worker that had a dead letter last.
	FieldWorker = "worker"
)

// Counters in the hash of statistics. While nobody adds entries by hand,
// loaded + replayed = done + duplicate + dead + outstanding.
const (
	// StatLoaded counts messages added by LoadScript.
	StatLoaded = "loaded"
	// StatDone counts results written.
	StatDone = "done"
	// StatDead counts messages that became dead letters.
	StatDead = "dead"
	// StatRequeued counts attempts that failed and were granted another.
	StatRequeued = "requeued"
	// StatWaited counts requeues because of the infrastructure.
	StatWaited = "waited"
	// StatStale counts outcomes that came too late: somebody else has the message.
	StatStale = "stale"
	// StatDuplicate counts messages whose id had a result already.
	StatDuplicate = "duplicate"
	// StatReaped counts messages taken back from workers that were lost.
	StatReaped = "reaped"
	// StatReplayed counts dead letters that became messages again.
	StatReplayed = "replayed"
)

// Status is what a script answers for one message.
type Status string

// The statuses.
const (
	// Loaded, Outstanding and Done are LoadScript's: added, already in the queue, already answered.
	Loaded      Status = "LOADED"
	Outstanding Status = "OUTSTANDING"
	Done        Status = "DONE"
	// Committed and Duplicate are CommitScript's: the result was written, the id had one.
	Committed Status = "COMMITTED"
	Duplicate Status = "DUPLICATE"
	// Stale is answered to a worker that no longer owns the message.
	Stale Status = "STALE"
	// Requeued, Waiting and Dead are FailScript's: see Fault.
	Requeued Status = "REQUEUED"
	Waiting  Status = "WAITING"
	Dead     Status = "DEAD"
	// Replayed and Gone are ReplayScript's, which also answers Done and Outstanding.
	Replayed Status = "REPLAYED"
	Gone     Status = "GONE"
)

// Fault says who is to blame for a failure, and so what becomes of the message.
type Fault string

// The faults.
const (
	// Poison: the message can never be answered; it becomes a dead letter at once.
	Poison Fault = "poison"
	// Retry: the answer was bad; tried again until the attempts are used up.
	Retry Fault = "retry"
	// Wait: the infrastructure is down; tried again without limit and without counting.
	Wait Fault = "wait"
	// Lost: the model server went away in the middle of the answer; tried again until
	// MaxAbandoned, because the message may be what kills it.
	Lost Fault = "lost"
)

// The beat of the workers.
const (
	// BeatEvery is how often a worker calls BeatScript.
	BeatEvery = 3 * time.Second
	// DeadAfter is how long a worker may be silent before its messages are taken
	// back: several beats, so that one lost beat costs nothing.
	DeadAfter = 15 * time.Second
	// MaxAbandoned is how often a message may be lost with its worker before it is
	// taken for the cause and becomes a dead letter.
	MaxAbandoned = 10
	// ReapLimit is how many entries one call of BeatScript takes back, to keep it short.
	ReapLimit = 100
	// ForgetAfter is how long a worker must be gone to be struck off the lists of
	// workers and of consumers.
	ForgetAfter = time.Hour
)

// Keys are the names of a queue's Redis keys. The braces around the queue's
// name put all of them into one hash slot of a Redis cluster.
type Keys struct {
	// Jobs is the stream of outstanding messages; in list mode the list of waiting ones,
	// each {"id": text, "body": object}.
	Jobs string
	// IDs is the set of outstanding ids.
	IDs string
	// Results is the hash from id to Result.
	Results string
	// Dead is the stream of dead letters.
	Dead string
	// Stats is the hash of counters.
	Stats string
	// Workers is the hash from worker to heartbeat, see ParseBeat.
	Workers string
}

// queueName is what a queue may be called: it goes into keys, quoted mappings and scripts.
var queueName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)

// NewKeys names the keys of a queue. It fails for a name with other characters
// than letters, digits, dot, dash and underscore.
func NewKeys(queue string) (Keys, error) {
	if !queueName.MatchString(queue) {
		return Keys{}, fmt.Errorf("queue name %q: use letters, digits, '.', '-' and '_', beginning with a letter or digit", queue)
	}
	key := func(kind string) string { return "{" + queue + "}:" + kind }
	return Keys{
		Jobs: key("jobs"), IDs: key("ids"), Results: key("results"),
		Dead: key("dead"), Stats: key("stats"), Workers: key("workers"),
	}, nil
}

// All returns the keys in the order in which every script takes them.
func (k Keys) All() []string {
	return []string{k.Jobs, k.IDs, k.Results, k.Dead, k.Stats, k.Workers}
}

// Result is one value of the hash of results.
type Result struct {
	// ID is the message's.
	ID string `json:"id"`
	// Result is what the pipeline's result mapping made of the answer.
	Result json.RawMessage `json:"result"`
	// Model generated the answer.
	Model string `json:"model"`
	// Worker is the pod that asked it.
	Worker string `json:"worker"`
	// Attempts is how many it took, this one included; at least 1.
	Attempts int `json:"attempts"`
	// Seconds is the wall time of the successful attempt.
	Seconds float64 `json:"seconds"`
	// Tokens is how many were generated.
	Tokens int `json:"tokens"`
}

// Beat is a worker's heartbeat, in Redis's clock.
type Beat struct {
	// Since is when the worker began to be heard of without a gap.
	Since time.Time
	// Last is when it was heard of last; it counts as gone after DeadAfter.
	Last time.Time
}

// ParseBeat reads a value of the hash of workers: two Unix times in milliseconds.
func ParseBeat(value string) (Beat, error) {
	since, last, _ := strings.Cut(value, " ")
	sinceMS, err := strconv.ParseInt(since, 10, 64)
	if err != nil {
		return Beat{}, fmt.Errorf("heartbeat %q: want \"since last\" in Unix milliseconds", value)
	}
	lastMS, err := strconv.ParseInt(last, 10, 64)
	if err != nil {
		return Beat{}, fmt.Errorf("heartbeat %q: want \"since last\" in Unix milliseconds", value)
	}
	return Beat{Since: time.UnixMilli(sinceMS), Last: time.UnixMilli(lastMS)}, nil
}
