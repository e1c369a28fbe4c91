// Package queue speaks to the Redis server that holds the queue, in the terms
// of package contract.
package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"caravan.dev/caravan/contract"
)

// Mode is the Redis type that holds the backlog.
type Mode string

// The modes, as queue.mode names them in a stack's config.
const (
	// Stream knows every message from loading to its outcome.
	Stream Mode = "stream"
	// List knows waiting messages only: the baseline to compare against.
	List Mode = "list"
)

// ParseMode checks the name of a mode.
func ParseMode(name string) (Mode, error) {
	switch mode := Mode(name); mode {
	case Stream, List:
		return mode, nil
	}
	return "", fmt.Errorf("unknown queue mode %q; use %s or %s", name, Stream, List)
}

// Batches of one round trip: each script call holds the server up for some
// milliseconds, which workers must not feel; several calls share a round trip.
const (
	messagesPerCall = 200
	callsPerTrip    = 10
	// BatchSize is how many messages one round trip of Load carries best.
	BatchSize = messagesPerCall * callsPerTrip
	// tripBytes is how many bytes of bodies one round trip carries before the next
	// look at the server's memory.
	tripBytes = 4 << 20
	// pageSize is how many entries one reading command returns at most.
	pageSize = 1000
)

// Queue is a connection to one queue. It is safe for concurrent use.
type Queue struct {
	redis *redis.Client
	keys  contract.Keys
	name  string
	mode  Mode
}

// Open prepares a connection; the first command makes it. Commands are not
// retried, so that what is counted is what happened.
func Open(options *redis.Options, name string, mode Mode) (*Queue, error) {
	keys, err := contract.NewKeys(name)
	if err != nil {
		return nil, err
	}
	options.MaxRetries, options.DialerRetries = -1, 1
	options.ReadTimeout, options.WriteTimeout = 30*time.Second, 30*time.Second
	options.ContextTimeoutEnabled = true
	return &Queue{redis: redis.NewClient(options), keys: keys, name: name, mode: mode}, nil
}

// Close ends the connection.
func (q *Queue) Close() error { return q.redis.Close() }

// Name is the queue's name.
func (q *Queue) Name() string { return q.name }

// Mode is the type that holds the backlog.
func (q *Queue) Mode() Mode { return q.mode }

// Ping reaches the server, or says what is wrong.
func (q *Queue) Ping(ctx context.Context) error {
	err := q.redis.Ping(ctx).Err()
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), "WRONGPASS"), strings.HasPrefix(err.Error(), "NOAUTH"):
		return fmt.Errorf("redis refuses the password; the Secret and the server differ, `pulumi up` mends it: %w", err)
	case strings.HasPrefix(err.Error(), "LOADING"):
		return fmt.Errorf("redis is still reading its data from disk; try again in a moment: %w", err)
	}
	return fmt.Errorf("reaching redis: %w", err)
}

// Message is what is loaded.
type Message struct {
	ID string
	// Body is a JSON object.
	Body []byte
}

// Load adds messages and returns the status of those that were answered for; on
// an error that may be fewer than were given, and a message without status may or
// may not have been added. The error wraps ErrFull when LoadPercent of the
// server's memory is used up: messages that are in the queue or done are still
// answered for then. In list mode every message is Loaded, doubles too.
func (q *Queue) Load(ctx context.Context, messages []Message) ([]contract.Status, error) {
	var statuses []contract.Status
	for len(messages) > 0 {
		n, bytes := trip(messages)
		admitted, refusal := q.admit(ctx, messages[:n], bytes)
		answered, err := q.add(ctx, admitted)
		statuses = append(statuses, answered...)
		if err != nil || refusal != nil {
			return statuses, errors.Join(err, refusal)
		}
		messages = messages[n:]
	}
	return statuses, nil
}

// trip is how many of the messages, one at least, go into the next round trip,
// and the size of their bodies.
func trip(messages []Message) (n int, bytes int64) {
	for n < min(len(messages), BatchSize) && (n == 0 || bytes+int64(len(messages[n].Body)) <= tripBytes) {
		bytes += int64(len(messages[n].Body))
		n++
	}
	return n, bytes
}

// runLoad runs LoadScript, in several calls of one round trip.
func (q *Queue) runLoad(ctx context.Context, messages []Message) ([]contract.Status, error) {
	var calls []*redis.Cmd
	_, err := q.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for start := 0; start < len(messages); start += messagesPerCall {
			var args []any
			for _, m := range messages[start:min(start+messagesPerCall, len(messages))] {
				args = append(args, m.ID, m.Body)
			}
			calls = append(calls, pipe.Eval(ctx, contract.LoadScript, q.keys.All(), args...))
		}
		return nil
	})
	var statuses []contract.Status
	for _, call := range calls {
		answered, callErr := call.StringSlice()
		if callErr != nil {
			break // a later call may have succeeded, when memory came free in between; the next run finds those outstanding
		}
		statuses = appendStatuses(statuses, answered)
	}
	return statuses, loadError(err)
}

// push adds messages in list mode, each as {"id": its id, "body": its body}.
func (q *Queue) push(ctx context.Context, messages []Message) ([]contract.Status, error) {
	items := make([]any, len(messages))
	statuses := make([]contract.Status, len(messages))
	for i, m := range messages {
		id, err := json.Marshal(m.ID)
		if err != nil {
			return nil, fmt.Errorf("encoding the id %q: %w", m.ID, err)
		}
		items[i], statuses[i] = fmt.Sprintf(`{"id":%s,"body":%s}`, id, m.Body), contract.Loaded
	}
	if err := q.redis.RPush(ctx, q.keys.Jobs, items...).Err(); err != nil {
		return nil, loadError(err)
	}
	return statuses, nil
}

func loadError(err error) error {
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), "OOM"):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("adding messages: %w", err)
}

func appendStatuses(statuses []contract.Status, texts []string) []contract.Status {
	for _, text := range texts {
		statuses = append(statuses, contract.Status(text))
	}
	return statuses
}

// Counts is the state of the queue at one moment.
type Counts struct {
	// Backlog is what is outstanding: waiting and running. Running is delivered to a worker.
	Backlog, Running int64
	// Done and Dead are results and dead letters that are there now.
	Done, Dead int64
}

// Counts reads the state in one transaction.
func (q *Queue) Counts(ctx context.Context) (Counts, error) {
	var backlog, done, dead *redis.IntCmd
	var pending *redis.XPendingCmd
	_, err := q.redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		if q.mode == List {
			backlog = pipe.LLen(ctx, q.keys.Jobs)
		} else {
			backlog = pipe.XLen(ctx, q.keys.Jobs)
			pending = pipe.XPending(ctx, q.keys.Jobs, contract.Group)
		}
		done, dead = pipe.HLen(ctx, q.keys.Results), pipe.XLen(ctx, q.keys.Dead)
		return nil
	})
	if err != nil && !isNoGroup(err) {
		return Counts{}, fmt.Errorf("counting messages: %w", err)
	}
	counts := Counts{Backlog: backlog.Val(), Done: done.Val(), Dead: dead.Val()}
	if pending != nil && pending.Err() == nil {
		counts.Running = pending.Val().Count
	}
	return counts, nil
}

// isNoGroup: no worker has ever read from the stream.
func isNoGroup(err error) bool { return strings.HasPrefix(err.Error(), "NOGROUP") }

// Stats reads the counters of contract.Stat…; absent ones are 0.
func (q *Queue) Stats(ctx context.Context) (map[string]int64, error) {
	values := map[string]int64{}
	raw, err := q.redis.HGetAll(ctx, q.keys.Stats).Result()
	if err != nil {
		return nil, fmt.Errorf("reading the counters: %w", err)
	}
	for name, text := range raw {
		var value int64
		if _, err := fmt.Sscan(text, &value); err != nil {
			return nil, fmt.Errorf("reading counter %s: %w", name, err)
		}
		values[name] = value
	}
	return values, nil
}

// Outcome is what has become of a message.
type Outcome int

// The outcomes.
const (
	// Outstanding is waiting or running.
	Outstanding Outcome = iota
	// Done has a result.
	Done
	// Dead has neither a result nor a place in the queue: a dead letter, or one that was purged.
	Dead
)

// Outcomes says what has become of each id.
func (q *Queue) Outcomes(ctx context.Context, ids []string) ([]Outcome, error) {
	outcomes := make([]Outcome, len(ids))
	for start := 0; start < len(ids); start += pageSize {
		end := min(start+pageSize, len(ids))
		if err := q.outcomes(ctx, ids[start:end], outcomes[start:end]); err != nil {
			return nil, fmt.Errorf("asking what became of the messages: %w", err)
		}
	}
	return outcomes, nil
}

// outcomes asks first who is outstanding and then who has a result: a message
// moves from the one to the other in one step, so none is missed.
func (q *Queue) outcomes(ctx context.Context, ids []string, outcomes []Outcome) error {
	members := make([]any, len(ids))
	for i, id := range ids {
		members[i] = id
	}
	outstanding, err := q.redis.SMIsMember(ctx, q.keys.IDs, members...).Result()
	if err != nil {
		return err
	}
	has := make(map[int]*redis.BoolCmd)
	_, err = q.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, id := range ids {
			if !outstanding[i] {
				has[i] = pipe.HExists(ctx, q.keys.Results, id)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, result := range has {
		outcomes[i] = Dead
		if result.Val() {
			outcomes[i] = Done
		}
	}
	return nil
}

// LiveWorkers counts the workers whose heartbeat is recent.
func (q *Queue) LiveWorkers(ctx context.Context) (int, error) {
	now, err := q.redis.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("reading redis's clock: %w", err)
	}
	beats, err := q.redis.HGetAll(ctx, q.keys.Workers).Result()
	if err != nil {
		return 0, fmt.Errorf("reading the workers' heartbeats: %w", err)
	}
	live := 0
	for worker, text := range beats {
		beat, err := contract.ParseBeat(text)
		if err != nil {
			return 0, fmt.Errorf("reading worker %s: %w", worker, err)
		}
		if now.Sub(beat.Last) <= contract.DeadAfter {
			live++
		}
	}
	return live, nil
}
