package contract_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"caravan.dev/caravan/contract"
	"caravan.dev/caravan/internal/redistest"
)

// queue is a real queue on a real Redis, with short words for what tests do to it.
type queue struct {
	*testing.T
	redis *redis.Client
	keys  contract.Keys
}

func newQueue(t *testing.T, args ...string) queue {
	t.Helper()
	keys, err := contract.NewKeys("test")
	if err != nil {
		t.Fatal(err)
	}
	return queue{T: t, redis: redistest.Start(t, args...), keys: keys}
}

var ctx = context.Background()

func must[V any](t *testing.T, command interface{ Result() (V, error) }) V {
	t.Helper()
	value, err := command.Result()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func (q queue) run(script string, args ...any) any {
	q.Helper()
	return must(q.T, q.redis.Eval(ctx, script, q.keys.All(), args...))
}

func (q queue) load(pairs ...any) []any {
	q.Helper()
	return q.run(contract.LoadScript, pairs...).([]any)
}

// read delivers the next entry to the worker, as Bento's input does; "" when there is none.
func (q queue) read(worker string) string {
	q.Helper()
	err := q.redis.XGroupCreateMkStream(ctx, q.keys.Jobs, contract.Group, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		q.Fatal(err)
	}
	streams, err := q.redis.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: contract.Group, Consumer: worker, Streams: []string{q.keys.Jobs, ">"}, Count: 1, Block: -1,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return ""
	}
	if err != nil {
		q.Fatal(err)
	}
	return streams[0].Messages[0].ID
}

func (q queue) fail(entry string, fault contract.Fault) any {
	q.Helper()
	return q.run(contract.FailScript, entry, "a", string(fault), "because", 3, 4)
}

// idle makes an entry look as if it had been delivered that long ago.
func (q queue) idle(entry, worker string, d time.Duration) {
	q.Helper()
	must(q.T, q.redis.Do(ctx, "XCLAIM", q.keys.Jobs, contract.Group, worker, 0, entry, "IDLE", d.Milliseconds(), "JUSTID"))
}

// alive makes a worker's heartbeat say: since that long, last heard of that long ago.
func (q queue) alive(worker string, since, last time.Duration) {
	q.Helper()
	now := must(q.T, q.redis.Time(ctx))
	must(q.T, q.redis.HSet(ctx, q.keys.Workers, worker,
		fmt.Sprintf("%d %d", now.Add(-since).UnixMilli(), now.Add(-last).UnixMilli())))
}

const minIdle = 10 * time.Minute

// beat lets worker a beat with the default numbers and returns busy and taken.
func (q queue) beat() (busy, taken int64) {
	q.Helper()
	return q.beatForgetting(contract.ForgetAfter)
}

func (q queue) beatForgetting(after time.Duration) (busy, taken int64) {
	q.Helper()
	answer := q.run(contract.BeatScript, "a", contract.DeadAfter.Milliseconds(), minIdle.Milliseconds(),
		4, contract.ReapLimit, after.Milliseconds()).([]any)
	return answer[0].(int64), answer[1].(int64)
}

// entries are the fields of all entries of a stream.
func (q queue) entries(stream string) []map[string]any {
	q.Helper()
	var all []map[string]any
	for _, m := range must(q.T, q.redis.XRange(ctx, stream, "-", "+")) {
		all = append(all, m.Values)
	}
	return all
}

func (q queue) pending() int64 {
	q.Helper()
	return must(q.T, q.redis.XPending(ctx, q.keys.Jobs, contract.Group)).Count
}

func (q queue) wantStats(want map[string]string) {
	q.Helper()
	if got := must(q.T, q.redis.HGetAll(ctx, q.keys.Stats)); !maps.Equal(got, want) {
		q.Errorf("stats = %v, want %v", got, want)
	}
}

func (q queue) want(what string, got, want any) {
	q.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		q.Errorf("%s = %v, want %v", what, got, want)
	}
}

func (q queue) wantEntry(stream string, want map[string]any) {
	q.Helper()
	all := q.entries(stream)
	if len(all) != 1 || !maps.Equal(all[0], want) {
		q.Errorf("%s = %v, want just %v", stream, all, want)
	}
}

func (q queue) outstanding() []string {
	q.Helper()
	ids := must(q.T, q.redis.SMembers(ctx, q.keys.IDs))
	slices.Sort(ids)
	return ids
}

func TestLoadAddsWhatIsNeitherOutstandingNorDone(t *testing.T) {
	q := newQueue(t)
	q.want("first load", q.load("a", "{}", "b", "{}", "a", "{}"), "[LOADED LOADED OUTSTANDING]")
	q.run(contract.CommitScript, q.read("w"), "a", "{}")
	q.want("second load", q.load("a", "{}", "b", "{}"), "[DONE OUTSTANDING]")
	q.want("outstanding", q.outstanding(), "[b]")
	q.wantEntry(q.keys.Jobs, map[string]any{"id": "b", "body": "{}"})
	q.wantStats(map[string]string{"loaded": "2", "done": "1"})
}

func TestLoadWithoutIDsAddsEveryTime(t *testing.T) {
	q := newQueue(t)
	q.want("load", q.load("", "{}", "", "{}"), "[LOADED LOADED]")
	q.want("stream", q.entries(q.keys.Jobs), []map[string]any{{"body": "{}"}, {"body": "{}"}})
	q.want("outstanding", q.outstanding(), "[]")
}

func TestAHundredThousandLoadInSeconds(t *testing.T) {
	q := newQueue(t)
	began := time.Now()
	must(t, q.redis.ScriptLoad(ctx, contract.LoadScript))
	script := redis.NewScript(contract.LoadScript)
	const total, perCall, perTrip = 100_000, 500, 20
	for n := 0; n < total; {
		pipe := q.redis.Pipeline()
		for range perTrip {
			var args []any
			for range perCall {
				args = append(args, n, `{"city":"Bern"}`)
				n++
			}
			script.EvalSha(ctx, pipe, q.keys.All(), args...)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
	}
	q.want("length", must(t, q.redis.XLen(ctx, q.keys.Jobs)), total)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("loading %d took %s", total, took)
	}
}

func TestNextHandsOverOneMessageAtATime(t *testing.T) {
	q := newQueue(t)
	q.want("next without a stream", q.run(contract.NextScript, "a", 1), "[]")
	q.load("x", `{"n":1}`, "y", `{"n":2}`)
	x := q.run(contract.NextScript, "a", 2).([]any)
	q.want("first", x[1:], `[x {"n":1} 0]`)
	q.fail(x[0].(string), contract.Retry)
	q.want("second", q.run(contract.NextScript, "b", 3).([]any)[1:], `[y {"n":2} 0]`)
	q.want("again", q.run(contract.NextScript, "b", 4).([]any)[1:], `[x {"n":1} 1]`)
	q.want("next of nothing", q.run(contract.NextScript, "b", 5), "[]")
	q.want("pending", q.pending(), 2)
}

func TestAskingAgainGetsTheSameMessage(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}", "y", "{}")
	first := q.run(contract.NextScript, "a", 7)
	q.want("the same ask", q.run(contract.NextScript, "a", 7), first)
	q.want("another ask", q.run(contract.NextScript, "a", 8).([]any)[1], "y")
	q.want("another worker's ask", q.run(contract.NextScript, "b", 7), "[]")
	must(t, q.redis.XDel(ctx, q.keys.Jobs, first.([]any)[0].(string)))
	q.want("the same ask after a deletion", q.run(contract.NextScript, "a", 7), "[]")
	q.want("pending", q.pending(), 1)
}

func TestNextFindsEntriesThatWereThereBeforeTheGroup(t *testing.T) {
	q := newQueue(t)
	first := must(t, q.redis.XAdd(ctx, &redis.XAddArgs{Stream: q.keys.Jobs, Values: []string{"body", "{}"}}))
	q.want("next", q.run(contract.NextScript, "a", 6), "["+first+" "+first+" {} 0]")
}

func TestNextPassesOverWhatNeedsNoWork(t *testing.T) {
	q := newQueue(t)
	for _, fields := range [][]string{{"id", "done", "body", "{}"}, {"id", "empty"}, {"id", "x", "body", "{}"}} {
		must(t, q.redis.XAdd(ctx, &redis.XAddArgs{Stream: q.keys.Jobs, Values: fields}))
	}
	must(t, q.redis.HSet(ctx, q.keys.Results, "done", "1"))
	must(t, q.redis.SAdd(ctx, q.keys.IDs, "done", "empty", "x"))
	q.want("next", q.run(contract.NextScript, "a", 7).([]any)[1], "x")
	q.wantEntry(q.keys.Dead, map[string]any{"id": "empty", "reason": "no body", "worker": "a"})
	q.want("outstanding", q.outstanding(), "[x]")
	q.want("pending", q.pending(), 1)
	q.want("length", must(t, q.redis.XLen(ctx, q.keys.Jobs)), 1)
	q.wantStats(map[string]string{"duplicate": "1", "dead": "1"})
}

func TestNextWorksThroughAFloodOfEntriesWithoutBody(t *testing.T) {
	q := newQueue(t)
	for range 130 {
		must(t, q.redis.XAdd(ctx, &redis.XAddArgs{Stream: q.keys.Jobs, Values: []string{"nothing", "1"}}))
	}
	q.load("x", "{}")
	q.want("first", q.run(contract.NextScript, "a", 8), "[]")
	q.want("second", q.run(contract.NextScript, "a", 9).([]any)[1], "x")
	q.want("dead", must(t, q.redis.XLen(ctx, q.keys.Dead)), 130)
}

func TestNextOnAWrongTypeIsAnError(t *testing.T) {
	q := newQueue(t)
	must(t, q.redis.RPush(ctx, q.keys.Jobs, "x"))
	err := q.redis.Eval(ctx, contract.NextScript, q.keys.All(), "a").Err()
	if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("error = %v, want WRONGTYPE", err)
	}
}

func TestCommitWritesOnceAndLeavesNothingBehind(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	entry := q.read("a")
	q.want("commit", q.run(contract.CommitScript, entry, "x", `{"n":1}`), "COMMITTED")
	q.want("second commit", q.run(contract.CommitScript, entry, "x", `{"n":2}`), "STALE")
	q.want("result", must(t, q.redis.HGet(ctx, q.keys.Results, "x")), `{"n":1}`)
	q.want("stream", q.entries(q.keys.Jobs), "[]")
	q.want("pending", q.pending(), 0)
	q.want("outstanding", q.outstanding(), "[]")
	q.wantStats(map[string]string{"loaded": "1", "done": "1", "stale": "1"})
}

func TestCommitOfASecondMessageWithTheSameIDIsADuplicate(t *testing.T) {
	q := newQueue(t)
	for range 2 {
		must(t, q.redis.XAdd(ctx, &redis.XAddArgs{Stream: q.keys.Jobs, Values: []string{"id", "x", "body", "{}"}}))
	}
	q.want("commit", q.run(contract.CommitScript, q.read("a"), "x", "1"), "COMMITTED")
	q.want("commit", q.run(contract.CommitScript, q.read("a"), "x", "2"), "DUPLICATE")
	q.want("result", must(t, q.redis.HGet(ctx, q.keys.Results, "x")), "1")
	q.want("stream", q.entries(q.keys.Jobs), "[]")
	q.wantStats(map[string]string{"done": "1", "duplicate": "1"})
}

func TestAPoisonedMessageIsDeadAtOnce(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	q.want("fail", q.fail(q.read("a"), contract.Poison), "DEAD")
	q.wantEntry(q.keys.Dead, map[string]any{"id": "x", "body": "{}", "attempts": "1", "reason": "because", "worker": "a"})
	q.want("stream", q.entries(q.keys.Jobs), "[]")
	q.want("pending", q.pending(), 0)
	q.want("outstanding", q.outstanding(), "[]")
	q.wantStats(map[string]string{"loaded": "1", "dead": "1"})
}

func TestAFailedAttemptIsRepeatedUntilTheAttemptsAreUsedUp(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	q.want("first", q.fail(q.read("a"), contract.Retry), "REQUEUED")
	q.wantEntry(q.keys.Jobs, map[string]any{"id": "x", "body": "{}", "attempts": "1"})
	q.want("outstanding", q.outstanding(), "[x]")
	q.want("second", q.fail(q.read("a"), contract.Retry), "REQUEUED")
	q.want("third", q.fail(q.read("a"), contract.Retry), "DEAD")
	q.wantEntry(q.keys.Dead, map[string]any{"id": "x", "body": "{}", "attempts": "3", "reason": "because", "worker": "a"})
	q.wantStats(map[string]string{"loaded": "1", "requeued": "2", "dead": "1"})
}

func TestWaitingForTheInfrastructureCostsNoAttempt(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	for range 20 {
		q.want("fail", q.fail(q.read("a"), contract.Wait), "WAITING")
	}
	q.wantEntry(q.keys.Jobs, map[string]any{"id": "x", "body": "{}"})
	q.wantStats(map[string]string{"loaded": "1", "waited": "20"})
}

func TestAMessageThatAlwaysKillsTheModelServerDies(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	for range 3 {
		q.want("fail", q.fail(q.read("a"), contract.Lost), "WAITING")
	}
	q.want("fail", q.fail(q.read("a"), contract.Lost), "DEAD")
	q.wantEntry(q.keys.Dead, map[string]any{"id": "x", "body": "{}", "abandoned": "4", "reason": "because", "worker": "a"})
}

func TestFailOfAnEntryThatIsNoLongerOursIsStale(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}", "y", "{}")
	committed, deleted := q.read("a"), q.read("a")
	q.run(contract.CommitScript, committed, "x", "{}")
	must(t, q.redis.XDel(ctx, q.keys.Jobs, deleted))
	q.want("fail of a committed entry", q.fail(committed, contract.Poison), "STALE")
	q.want("fail of a deleted entry", q.fail(deleted, contract.Poison), "STALE")
	q.want("dead", q.entries(q.keys.Dead), "[]")
	q.want("pending", q.pending(), 0)
}

func TestAnUnknownFaultChangesNothing(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	entry := q.read("a")
	err := q.redis.Eval(ctx, contract.FailScript, q.keys.All(), entry, "a", "bad luck", "", 3, 3).Err()
	if err == nil || !strings.Contains(err.Error(), "unknown fault bad luck") {
		t.Errorf("error = %v", err)
	}
	q.want("pending", q.pending(), 1)
}

func TestAnEntryWithoutIDKeepsItsFirstEntryIDForLife(t *testing.T) {
	q := newQueue(t)
	first := must(t, q.redis.XAdd(ctx, &redis.XAddArgs{Stream: q.keys.Jobs, Values: []string{"body", "{}", "extra", "1"}}))
	q.fail(q.read("a"), contract.Wait)
	q.fail(q.read("a"), contract.Retry)
	q.wantEntry(q.keys.Jobs, map[string]any{"id": first, "body": "{}", "attempts": "1"})
}

func TestBeatBeforeThereIsAStreamOrAGroup(t *testing.T) {
	q := newQueue(t)
	q.beat()
	q.load("x", "{}")
	q.beat()
	beats := must(t, q.redis.HGetAll(ctx, q.keys.Workers))
	if _, err := contract.ParseBeat(beats["a"]); err != nil || len(beats) != 1 {
		t.Errorf("beats = %v: %v", beats, err)
	}
}

func TestBeatOnAWrongTypeIsAnError(t *testing.T) {
	q := newQueue(t)
	must(t, q.redis.RPush(ctx, q.keys.Jobs, "x"))
	err := q.redis.Eval(ctx, contract.BeatScript, q.keys.All(), "a", 15000, 60000, 10, 100, 3600000).Err()
	if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("error = %v, want WRONGTYPE", err)
	}
}

func TestAGapInTheBeatsStartsLifeAnew(t *testing.T) {
	q := newQueue(t)
	since := func() time.Duration {
		t.Helper()
		beat, err := contract.ParseBeat(must(t, q.redis.HGet(ctx, q.keys.Workers, "a")))
		if err != nil {
			t.Fatal(err)
		}
		return beat.Last.Sub(beat.Since)
	}
	q.alive("a", time.Hour, 9*time.Second)
	q.beat()
	if alive := since(); alive < time.Hour {
		t.Errorf("after 9 s of silence alive for %s, want an hour", alive)
	}
	q.alive("a", time.Hour, 11*time.Second)
	q.beat()
	if alive := since(); alive != 0 {
		t.Errorf("after 11 s of silence alive for %s, want 0", alive)
	}
}

func TestOnlyAWorkerLongAliveTakesBack(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	q.read("gone")
	q.alive("gone", time.Hour, 16*time.Second)
	q.alive("a", 14*time.Second, time.Second)
	if _, taken := q.beat(); taken != 0 {
		t.Errorf("a worker alive for 14 s took back %d", taken)
	}
	q.alive("a", 16*time.Second, time.Second)
	if _, taken := q.beat(); taken != 1 {
		t.Errorf("a worker alive for 16 s took back %d, want 1", taken)
	}
	q.wantEntry(q.keys.Jobs, map[string]any{"id": "x", "body": "{}", "abandoned": "1"})
	q.want("pending", q.pending(), 0)
	q.want("outstanding", q.outstanding(), "[x]")
	q.wantStats(map[string]string{"loaded": "1", "reaped": "1"})
}

func TestCommitOfAReapedEntryIsStale(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	entry := q.read("slow")
	q.alive("slow", time.Hour, time.Minute)
	q.alive("a", time.Hour, 0)
	q.beat()
	q.want("commit", q.run(contract.CommitScript, entry, "x", "1"), "STALE")
	q.want("commit by the next", q.run(contract.CommitScript, q.read("a"), "x", "2"), "COMMITTED")
	q.want("result", must(t, q.redis.HGet(ctx, q.keys.Results, "x")), "2")
}

func TestEntriesOfALivingWorkerAreLeftAloneUntilMinIdle(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}", "y", "{}")
	working, hung := q.read("b"), q.read("b")
	q.idle(working, "b", minIdle-time.Minute)
	q.idle(hung, "b", minIdle+time.Minute)
	q.alive("b", time.Hour, time.Second)
	q.alive("a", time.Hour, time.Second)
	if _, taken := q.beat(); taken != 1 {
		t.Errorf("took back %d, want 1", taken)
	}
	q.want("commit of the working entry", q.run(contract.CommitScript, working, "x", "1"), "COMMITTED")
}

func TestAWorkersOwnHungEntryIsTakenBackToo(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	q.idle(q.read("a"), "a", minIdle+time.Minute)
	q.alive("a", time.Hour, time.Second)
	if _, taken := q.beat(); taken != 1 {
		t.Errorf("took back %d, want 1", taken)
	}
}

func TestAConsumerThatNeverBeatIsJudgedByItsEntries(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}", "y", "{}")
	q.idle(q.read("mute"), "mute", 14*time.Second)
	q.idle(q.read("mute"), "mute", 16*time.Second)
	q.alive("a", time.Hour, time.Second)
	if _, taken := q.beat(); taken != 1 {
		t.Errorf("took back %d, want 1", taken)
	}
	q.want("pending", q.pending(), 1)
}

func TestTheReaperSeesTheDeadBehindTheLiving(t *testing.T) {
	q := newQueue(t)
	for i := range 150 {
		q.load(i, "{}")
		q.read("living")
	}
	q.load("x", "{}")
	q.read("gone")
	q.alive("living", time.Hour, time.Second)
	q.alive("gone", time.Hour, time.Minute)
	q.alive("a", time.Hour, time.Second)
	if _, taken := q.beat(); taken != 1 {
		t.Errorf("took back %d, want 1", taken)
	}
}

func TestOneBeatTakesBackNoMoreThanItsLimit(t *testing.T) {
	q := newQueue(t)
	for i := range 130 {
		q.load(i, "{}")
		q.read("gone")
	}
	q.alive("gone", time.Hour, time.Minute)
	for _, want := range []int64{100, 30, 0} {
		q.alive("a", time.Hour, time.Second)
		if _, taken := q.beat(); taken != want {
			t.Errorf("took back %d, want %d", taken, want)
		}
	}
	q.want("length", must(t, q.redis.XLen(ctx, q.keys.Jobs)), 130)
}

func TestAMessageAbandonedTooOftenIsDeadAndNamesTheWorker(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	for i := range 4 {
		worker := fmt.Sprintf("gone-%d", i)
		q.read(worker)
		q.alive(worker, time.Hour, time.Minute)
		q.alive("a", time.Hour, time.Second)
		q.beat()
	}
	q.wantEntry(q.keys.Dead, map[string]any{
		"id": "x", "body": "{}", "abandoned": "4", "worker": "gone-3",
		"reason": "abandoned 4 times, last by gone-3"})
	q.want("outstanding", q.outstanding(), "[]")
	q.want("stream", q.entries(q.keys.Jobs), "[]")
	q.wantStats(map[string]string{"loaded": "1", "reaped": "3", "dead": "1"})
}

func TestAnAbandonedMessageThatHasAResultIsDropped(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	q.read("gone")
	must(t, q.redis.HSet(ctx, q.keys.Results, "x", "1"))
	q.alive("gone", time.Hour, time.Minute)
	q.alive("a", time.Hour, time.Second)
	q.beat()
	q.want("stream", q.entries(q.keys.Jobs), "[]")
	q.want("pending", q.pending(), 0)
	q.want("outstanding", q.outstanding(), "[]")
	q.wantStats(map[string]string{"loaded": "1", "duplicate": "1"})
}

func TestAnAbandonedEntryThatWasDeletedIsForgotten(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	must(t, q.redis.XDel(ctx, q.keys.Jobs, q.read("gone")))
	q.alive("gone", time.Hour, time.Minute)
	q.alive("a", time.Hour, time.Second)
	q.beat()
	q.want("pending", q.pending(), 0)
	q.want("dead", q.entries(q.keys.Dead), "[]")
}

func TestAnAbandonedEntryWithoutBodyIsADeadLetter(t *testing.T) {
	q := newQueue(t)
	entry := must(t, q.redis.XAdd(ctx, &redis.XAddArgs{Stream: q.keys.Jobs, Values: []string{"bdoy", "{}"}}))
	q.read("gone")
	q.alive("gone", time.Hour, time.Minute)
	q.alive("a", time.Hour, time.Second)
	q.beat()
	q.wantEntry(q.keys.Dead, map[string]any{"id": entry, "reason": "no body", "worker": "gone"})
	q.want("stream", q.entries(q.keys.Jobs), "[]")
	q.want("pending", q.pending(), 0)
}

func TestBeatCountsWhatTheWorkerHasInHand(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}", "y", "{}", "z", "{}")
	q.read("a")
	q.read("b")
	q.read("a")
	if busy, taken := q.beat(); busy != 2 || taken != 0 {
		t.Errorf("busy, taken = %d, %d, want 2, 0", busy, taken)
	}
}

func TestAFreshProcessTakesBackWhatItsFormerLifeHadInHand(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}", "y", "{}")
	q.read("a")
	q.read("b")
	q.alive("a", time.Hour, time.Second)
	q.alive("b", time.Hour, time.Second)
	q.want("first beat", q.run(contract.BeatScript, "a", 15000, 60000, 4, 100, 3600000, 1), "[0 1]")
	q.want("waiting", q.run(contract.NextScript, "a", 10).([]any)[1], "x")
	q.want("second beat", q.run(contract.BeatScript, "a", 15000, 60000, 4, 100, 3600000, 0), "[1 0]")
}

func TestWorkersGoneForAnHourAreForgotten(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}", "y", "{}")
	q.run(contract.CommitScript, q.read("recent"), "x", "1")
	q.run(contract.CommitScript, q.read("old"), "y", "1")
	q.alive("recent", 2*time.Hour, 59*time.Minute)
	q.alive("old", 2*time.Hour, 61*time.Minute)
	q.alive("a", time.Hour, time.Second)
	q.beat()
	names := slices.Sorted(maps.Keys(must(t, q.redis.HGetAll(ctx, q.keys.Workers))))
	q.want("workers", names, "[a recent]")
	q.want("consumers", len(must(t, q.redis.XInfoConsumers(ctx, q.keys.Jobs, contract.Group))), 2)
}

func TestConsumersGoneLongAgoAreDeletedUnlessTheyHoldEntries(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}", "y", "{}")
	q.run(contract.CommitScript, q.read("old"), "x", "1")
	q.read("holds")
	q.alive("old", 2*time.Hour, time.Hour)
	q.alive("a", 0, 0)
	time.Sleep(2 * time.Millisecond) // so that the consumers' idle time exceeds 1 ms
	q.beatForgetting(time.Millisecond)
	q.want("consumers of a young reaper", len(must(t, q.redis.XInfoConsumers(ctx, q.keys.Jobs, contract.Group))), 2)
	q.alive("a", time.Hour, 0)
	q.beatForgetting(time.Millisecond)
	consumers := must(t, q.redis.XInfoConsumers(ctx, q.keys.Jobs, contract.Group))
	if len(consumers) != 1 || consumers[0].Name != "holds" {
		t.Errorf("consumers = %+v, want just the one that holds an entry", consumers)
	}
}

func TestReplayGivesACleanSlate(t *testing.T) {
	q := newQueue(t)
	q.load("x", "{}")
	q.fail(q.read("a"), contract.Lost)
	q.fail(q.read("a"), contract.Poison)
	letter := must(t, q.redis.XRange(ctx, q.keys.Dead, "-", "+"))[0].ID
	q.want("replay", q.run(contract.ReplayScript, letter, "1-1"), "[REPLAYED GONE]")
	q.wantEntry(q.keys.Jobs, map[string]any{"id": "x", "body": "{}"})
	q.want("dead", q.entries(q.keys.Dead), "[]")
	q.want("outstanding", q.outstanding(), "[x]")
	q.wantStats(map[string]string{"loaded": "1", "waited": "1", "dead": "1", "replayed": "1"})
}

func TestReplayNeverDoublesAMessage(t *testing.T) {
	q := newQueue(t)
	q.load("done", "{}", "again", "{}")
	q.fail(q.read("a"), contract.Poison)
	q.fail(q.read("a"), contract.Poison)
	must(t, q.redis.HSet(ctx, q.keys.Results, "done", "1"))
	q.load("again", "{}")
	letters := must(t, q.redis.XRange(ctx, q.keys.Dead, "-", "+"))
	q.want("replay", q.run(contract.ReplayScript, letters[0].ID, letters[1].ID), "[DONE OUTSTANDING]")
	q.want("length", must(t, q.redis.XLen(ctx, q.keys.Jobs)), 1)
	q.want("dead letters left", len(q.entries(q.keys.Dead)), 1)
}

// addMany adds, by hand, an entry with more fields than a script can pass on at a time.
func (q queue) addMany(pairs ...string) {
	q.Helper()
	for i := range 5000 {
		pairs = append(pairs, fmt.Sprintf("field-%d", i), "1")
	}
	must(q.T, q.redis.XAdd(ctx, &redis.XAddArgs{Stream: q.keys.Jobs, Values: pairs}))
}

func TestThousandsOfFieldsAddedByHandLoseNoMessage(t *testing.T) {
	q := newQueue(t)
	q.addMany("id", "x", "body", "{}")
	q.want("fail", q.fail(q.read("a"), contract.Retry), "REQUEUED")
	q.wantEntry(q.keys.Jobs, map[string]any{"id": "x", "body": "{}", "attempts": "1"})
	q.want("fail", q.fail(q.read("a"), contract.Poison), "DEAD")
	q.wantEntry(q.keys.Dead, map[string]any{"id": "x", "body": "{}", "attempts": "2", "reason": "because", "worker": "a"})

	q.addMany("id", "y")
	q.want("next", q.run(contract.NextScript, "a", 1), "[]")
	q.want("dead letters", len(q.entries(q.keys.Dead)), 2)

	q.addMany("id", "z", "body", "{}")
	q.read("gone")
	q.alive("gone", time.Hour, time.Minute)
	q.alive("a", time.Hour, time.Second)
	q.beat()
	q.wantEntry(q.keys.Jobs, map[string]any{"id": "z", "body": "{}", "abandoned": "1"})
	q.want("pending", q.pending(), 0)
}

func TestAKeyOfAWrongTypeStopsAScriptBeforeItHasChangedAnything(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken func(contract.Keys) string
		script string
		args   func(entry string) []any
		want   string // the answer, once the key is mended
	}{
		{"load", func(k contract.Keys) string { return k.Jobs }, contract.LoadScript,
			func(string) []any { return []any{"new", "{}"} }, "[LOADED]"},
		{"commit", func(k contract.Keys) string { return k.Results }, contract.CommitScript,
			func(entry string) []any { return []any{entry, "x", "1"} }, "COMMITTED"},
		{"fail", func(k contract.Keys) string { return k.Dead }, contract.FailScript,
			func(entry string) []any { return []any{entry, "gone", "poison", "because", 3, 4} }, "DEAD"},
		{"next", func(k contract.Keys) string { return k.Dead }, contract.NextScript,
			func(string) []any { return []any{"a", 1} }, "[]"},
		{"beat", func(k contract.Keys) string { return k.Dead }, contract.BeatScript,
			func(string) []any { return []any{"a", 15000, 60000, 1, 100, 3600000} }, "[0 1]"},
		{"replay", func(k contract.Keys) string { return k.Jobs }, contract.ReplayScript,
			func(string) []any { return []any{"1-1"} }, "[REPLAYED]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue(t)
			q.load("x", "{}")
			entry := q.read("gone")
			must(t, q.redis.XAdd(ctx, &redis.XAddArgs{Stream: q.keys.Jobs, Values: []string{"id", "empty"}}))
			must(t, q.redis.XAdd(ctx, &redis.XAddArgs{Stream: q.keys.Dead, ID: "1-1", Values: []string{"id", "letter", "body", "{}"}}))
			q.alive("gone", time.Hour, time.Minute)
			q.alive("a", time.Hour, time.Second)
			key := c.broken(q.keys)
			if must(t, q.redis.Exists(ctx, key)) == 1 {
				must(t, q.redis.Rename(ctx, key, "aside"))
			}
			must(t, q.redis.Set(ctx, key, "not what it should be", 0))
			before := q.state()

			err := q.redis.Eval(ctx, c.script, q.keys.All(), c.args(entry)...).Err()
			if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
				t.Errorf("error = %v, want WRONGTYPE", err)
			}
			if after := q.state(); !maps.Equal(before, after) {
				t.Errorf("it changed %v\nto %v", before, after)
			}

			must(t, q.redis.Del(ctx, key))
			if must(t, q.redis.Exists(ctx, "aside")) == 1 {
				must(t, q.redis.Rename(ctx, "aside", key))
			}
			q.want("answer", q.run(c.script, c.args(entry)...), c.want)
		})
	}
}

// state is all that Redis holds, serialised.
func (q queue) state() map[string]string {
	q.Helper()
	state := map[string]string{}
	for _, key := range must(q.T, q.redis.Keys(ctx, "*")) {
		state[key] = must(q.T, q.redis.Dump(ctx, key))
	}
	return state
}

// fill lets Redis be out of memory from here on.
func (q queue) fill() {
	q.Helper()
	must(q.T, q.redis.ConfigSet(ctx, "maxmemory", "1"))
	err := q.redis.Eval(ctx, contract.LoadScript, q.keys.All(), "w", "{}").Err()
	if err == nil || !strings.Contains(err.Error(), "OOM") {
		q.Errorf("load on a full Redis: %v, want OOM", err)
	}
}

func TestAFullRedisRefusesLoadsAndAcceptsOutcomes(t *testing.T) {
	q := newQueue(t, "--maxmemory-policy", "noeviction")
	q.load("x", "{}", "y", "{}", "z", "{}")
	committed, requeued, buried := q.read("a"), q.read("a"), q.read("a")
	q.fill()
	q.want("commit", q.run(contract.CommitScript, committed, "x", "1"), "COMMITTED")
	q.want("requeue", q.fail(requeued, contract.Retry), "REQUEUED")
	q.want("dead", q.fail(buried, contract.Poison), "DEAD")
	q.want("outstanding", q.outstanding(), "[y]")
}

func TestOnAFullRedisTheHeartbeatAndTheReaperGoOn(t *testing.T) {
	q := newQueue(t, "--maxmemory-policy", "noeviction")
	q.load("x", "{}")
	q.read("gone")
	q.alive("gone", time.Hour, time.Minute)
	q.alive("a", time.Hour, 5*time.Second)
	before := must(t, q.redis.HGet(ctx, q.keys.Workers, "a"))
	q.fill()
	if _, taken := q.beat(); taken != 1 {
		t.Errorf("took back %d, want 1", taken)
	}
	if must(t, q.redis.HGet(ctx, q.keys.Workers, "a")) == before {
		t.Error("the heartbeat was not recorded")
	}
	q.wantEntry(q.keys.Jobs, map[string]any{"id": "x", "body": "{}", "abandoned": "1"})
}

func TestOnAFullRedisWithoutStreamAHeartbeatIsRecorded(t *testing.T) {
	q := newQueue(t, "--maxmemory-policy", "noeviction")
	q.fill()
	q.beat()
	if _, err := contract.ParseBeat(must(t, q.redis.HGet(ctx, q.keys.Workers, "a"))); err != nil {
		t.Error(err)
	}
}

func TestOnAFullRedisTheFirstWorkerGetsItsMessage(t *testing.T) {
	q := newQueue(t, "--maxmemory-policy", "noeviction")
	must(t, q.redis.XAdd(ctx, &redis.XAddArgs{Stream: q.keys.Jobs, Values: []string{"id", "empty"}}))
	q.load("x", "{}")
	q.fill()
	q.want("next", q.run(contract.NextScript, "a", 1).([]any)[1], "x")
	q.want("dead letters", len(q.entries(q.keys.Dead)), 1)
}
