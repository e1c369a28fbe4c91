package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"caravan.dev/caravan/contract"
)

func TestResultsAreWrittenOncePerIDAsJSONL(t *testing.T) {
	b := newBench(t)
	b.run("load", b.file("x.csv", rows(1200))) // more than one page of a scan
	for _, m := range b.take(1200) {
		b.commit(m)
	}
	got := b.run("results", "--out", "out.jsonl")
	b.want(got, 0, "", "1,200 results written to out.jsonl\n")
	seen := map[string]bool{}
	for line := range strings.Lines(b.read("out.jsonl")) {
		var result contract.Result
		if err := json.Unmarshal([]byte(line), &result); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		seen[result.ID] = true
	}
	if len(seen) != 1200 || strings.Count(b.read("out.jsonl"), "\n") != 1200 {
		t.Errorf("%d ids on %d lines, want 1,200", len(seen), strings.Count(b.read("out.jsonl"), "\n"))
	}
	if again := b.run("results", "-o", "json"); again.out != b.read("out.jsonl") {
		t.Error("the order changed though no result was added")
	}
}

func TestResultsAsCSVHaveTheUnionOfTheFields(t *testing.T) {
	b := newBench(t)
	b.redis.HSet(context.Background(), b.keys.Results,
		"1", `{"id":"1","result":{"mayor":"A, \"B\"","terms":[1,2],"of":{"since":1e3}},"attempts":1}`,
		"2", `{"id":"2","result":{"note":"two\nlines","ok":true,"none":null},"attempts":2}`)
	got := b.run("results", "--format", "csv", "--id", "1", "--id", "2")
	b.want(got, 0, "id,attempts,result.mayor,result.none,result.note,result.of.since,result.ok,result.terms\n"+
		"1,1,\"A, \"\"B\"\"\",,,1e3,,\"[1,2]\"\n"+
		"2,2,,,\"two\nlines\",,true,\n", "")
}

func TestResultsOfSingleIDs(t *testing.T) {
	b := newBench(t)
	b.redis.HSet(context.Background(), b.keys.Results, "1", `{"id": "1"}`, "2", `{"id": "2"}`)
	b.want(b.run("results", "--id", "2"), 0, "{\"id\":\"2\"}\n", "")
	b.want(b.run("results", "--id", "2", "--id", "9", "--id", "8"), exitFailed, "{\"id\":\"2\"}\n",
		"caravan: no result for 9, 8; it may be outstanding or a dead letter (`caravan dead list`)\n")
}

func TestDeletedResultsAreThoseInTheFile(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	left := func() int64 { return b.redis.HLen(ctx, b.keys.Results).Val() }
	for i := range 2500 { // more than two pages
		b.redis.HSet(ctx, b.keys.Results, fmt.Sprint(i), fmt.Sprintf(`{"id":"%d"}`, i))
	}
	b.in = "n\n"
	b.want(b.run("results", "--out", "0.jsonl", "--delete"), exitFailed, "", "2,500 results written to 0.jsonl\n"+
		"Delete 2,500 results from queue caravan? [y/N] caravan: nothing was deleted; 0.jsonl stays\n")
	b.want(b.run("results", "--out", "1.jsonl", "--delete", "--yes", "--id", "7", "--id", "x"), exitFailed, "",
		"1 result written to 1.jsonl\n1 result deleted from queue caravan\n"+
			"caravan: no result for x; it may be outstanding or a dead letter (`caravan dead list`)\n")
	if left() != 2499 || b.read("1.jsonl") != "{\"id\":\"7\"}\n" {
		t.Errorf("%d results left, 1.jsonl holds %q", left(), b.read("1.jsonl"))
	}
	got := b.run("results", "--out", "1.jsonl", "--delete", "--yes")
	if got.code != exitUsage || left() != 2499 || !strings.Contains(got.err, "--out 1.jsonl: it exists") {
		t.Errorf("a file of deleted results was not spared: %+v", got)
	}
	b.in = "y\n"
	b.want(b.run("results", "--out", "2.jsonl", "--delete"), 0, "", "2,499 results written to 2.jsonl\n"+
		"Delete 2,499 results from queue caravan? [y/N] 2,499 results deleted from queue caravan\n")
	if left() != 0 || strings.Count(b.read("2.jsonl"), "\n") != 2499 {
		t.Errorf("%d results left", left())
	}
}

func TestNothingIsDeletedWhenTheFileCannotBeWritten(t *testing.T) {
	b := newBench(t)
	b.redis.HSet(context.Background(), b.keys.Results, "1", `{"id":"1"}`, "2", "oops")
	for _, out := range []string{"none/x.jsonl", "x.jsonl"} {
		if got := b.run("results", "--out", out, "--delete", "--yes"); got.code != exitFailed || strings.Contains(got.err, "deleted") {
			t.Errorf("%s: %+v", out, got)
		}
	}
	if left := b.redis.HLen(context.Background(), b.keys.Results).Val(); left != 2 {
		t.Errorf("%d results left, want both", left)
	}
}

func TestDeletedResultsMakeRoomForLoads(t *testing.T) {
	b := newBench(t, "--maxmemory", "8mb", "--maxmemory-policy", "noeviction")
	for i := range 500 {
		b.redis.HSet(context.Background(), b.keys.Results, fmt.Sprint("old-", i), fmt.Sprintf("{\"text\":%q}", strings.Repeat("x", 10_000)))
	}
	name := b.file("x.csv", rows(10))
	if got := b.run("load", name); got.code != exitFailed || !strings.HasPrefix(got.err, "caravan: redis is full: 0 messages are loaded") {
		t.Errorf("loading into full memory: %+v", got)
	}
	if got := b.run("status"); !strings.Contains(got.out, "no more loads: over 60 % of the memory is used") {
		t.Errorf("status does not say so: %s", got.out)
	}
	if got := b.run("results", "--out", "old.jsonl", "--delete", "--yes"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	b.want(b.run("load", name), 0, "10 loaded into queue caravan\n", "")
}

func TestResultThatIsNotJSONIsNamed(t *testing.T) {
	b := newBench(t)
	b.redis.HSet(context.Background(), b.keys.Results, "1", "oops")
	got := b.run("results", "--out", "out.jsonl")
	if got.code != exitFailed || !strings.Contains(got.err, "the result of id 1 is not JSON") {
		t.Errorf("got %+v", got)
	}
	if left := b.run("load", "out.jsonl"); !strings.Contains(left.err, "no such file") {
		t.Errorf("an incomplete file was left: %+v", left)
	}
}

func TestDeadListShowsReasonAttemptsWorkerAndAge(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	for i, id := range []string{"1", ""} {
		b.redis.XAdd(ctx, &redis.XAddArgs{Stream: b.keys.Dead, ID: fmt.Sprintf("%d-0", 1_700_000_000_000+i*60_000), Values: []any{
			contract.FieldID, id, contract.FieldBody, `{"city":"x"}`, contract.FieldAttempts, "3",
			contract.FieldReason, "empty\nanswer", contract.FieldWorker, "pod-1",
		}})
	}
	b.now = func() time.Time { return time.UnixMilli(1_700_000_000_000).Add(2 * time.Hour) }
	b.redis.HSet(ctx, b.keys.Results, "1", "{}")
	b.want(b.run("dead", "list"), 0, ""+
		"ID               REASON        ATTEMPTS  WORKER  AGE    ANSWERED\n"+
		"1                empty answer  3         pod-1   2h00m  yes\n"+
		"1700000060000-0  empty answer  3         pod-1   1h59m  no\n", "")
	got := b.run("dead", "list", "-o", "json")
	var letters []map[string]any
	if err := json.Unmarshal([]byte(got.out), &letters); err != nil {
		t.Fatalf("%v in %s", err, got.out)
	}
	delete(letters[0], "at")
	want := map[string]any{"entry": "1700000000000-0", "id": "1", "body": `{"city":"x"}`, "attempts": 3.0, "reason": "empty\nanswer", "worker": "pod-1", "answered": true}
	if diff := cmp.Diff(want, letters[0]); diff != "" || len(letters) != 2 || letters[1]["answered"] != false {
		t.Errorf("%d letters, first (-want +got):\n%s", len(letters), diff)
	}
}

func TestWithoutDeadLettersTheListIsEmpty(t *testing.T) {
	b := newBench(t)
	b.want(b.run("dead", "list"), 0, "", "no dead letters in queue caravan\n")
	b.want(b.run("dead", "list", "-o", "json"), 0, "[]\n", "")
	b.want(b.run("dead", "replay", "--all"), 0, "0 replayed\n", "")
	b.want(b.run("dead", "purge", "--all"), 0, "0 purged\n", "")
	b.want(b.run("dead", "replay", "--id", "1"), exitFailed, "", "caravan: no dead letter has the id \"1\"; `caravan dead list` shows them\n")
}

func TestReplayedDeadLettersAreMessagesAgain(t *testing.T) {
	b := newBench(t)
	b.died("1", "2", "3", "4")
	b.want(b.run("dead", "replay", "--id", "1"), 0, "1 replayed\n", "")
	if diff := cmp.Diff(map[string]string{"1": `{"id":"1","city":"c1"}`}, b.jobs()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	// 2 has a result by now, 3 is in the queue again.
	b.redis.HSet(context.Background(), b.keys.Results, "2", "{}")
	b.in = "{\"id\":3}\n"
	b.run("load", "-", "--format", "jsonl")
	b.want(b.run("dead", "replay", "--all"), 0, "1 replayed, 1 already done, 1 already in the queue\n", "")
	if left := b.redis.XLen(context.Background(), b.keys.Dead).Val(); left != 1 {
		t.Errorf("%d dead letters left, want that of 3", left)
	}
}

func TestPurgeAsksUnlessToldNotTo(t *testing.T) {
	b := newBench(t)
	b.died("1", "2", "3")
	count := func() int64 { return b.redis.XLen(context.Background(), b.keys.Dead).Val() }
	b.in = "n\n"
	b.want(b.run("dead", "purge", "--all"), exitFailed, "", "Delete 3 dead letters of queue caravan? [y/N] caravan: nothing was deleted\n")
	if count() != 3 {
		t.Fatalf("%d left after a no", count())
	}
	b.want(b.run("dead", "purge", "--id", "2"), 0, "1 purged\n", "")
	b.in = "yes\n"
	b.want(b.run("dead", "purge", "--all", "-o", "json"), 0, "{\n  \"purged\": 2\n}\n", "Delete 2 dead letters of queue caravan? [y/N] ")
	if count() != 0 {
		t.Errorf("%d left", count())
	}
}

func TestPurgedDeadLettersComeBackFromTheSavedFile(t *testing.T) {
	b := newBench(t)
	b.died("1", "2")
	b.want(b.run("dead", "purge", "--all", "--yes", "--save", "gone.jsonl"), 0, "2 purged, saved in gone.jsonl\n", "")
	b.want(b.run("dead", "replay", "--from", "gone.jsonl"), 0, "2 replayed\n", "")
	want := map[string]string{"1": `{"id":"1","city":"c1"}`, "2": `{"id":"2","city":"c2"}`}
	if diff := cmp.Diff(want, b.jobs()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	b.want(b.run("dead", "replay", "--from", "gone.jsonl"), 0, "0 replayed, 2 already in the queue\n", "")
	b.want(b.run("dead", "replay", "--from", b.file("x.jsonl", b.read("gone.jsonl")+"{}\n")), exitFailed, "",
		"caravan: x.jsonl:3: not a dead letter as `caravan dead purge --save` writes it\n")
}

func TestWatchWritesALineForEveryChange(t *testing.T) {
	b := newBench(t)
	b.beat("pod-1")
	b.run("load", b.file("x.csv", rows(2)))
	var out, errs growing
	ended := make(chan outcome, 1)
	go func() {
		ended <- b.runTo(context.Background(), &out, &errs, "watch", "--until-empty", "--interval", "2ms")
	}()
	shows := func(what string) {
		t.Helper()
		until(t, what, func() bool { return strings.Contains(out.String(), what) })
	}
	shows("backlog 2 (0 running)  done 0  dead 0  workers 1 ready  0.00/s  ETA unknown\n")
	taken := b.take(2)
	shows("backlog 2 (2 running)  done 0  dead 0  ")
	b.commit(taken[0])
	shows("backlog 1 (1 running)  done 1  dead 0  ")
	b.kill(taken[1], "no city")
	got := <-ended
	if got.code != 0 || got.err != "" || !strings.Contains(got.out, "backlog 0 (0 running)  done 1  dead 1  workers 1 ready") {
		t.Errorf("got %+v", got)
	}
	if lines := strings.Count(got.out, "\n"); lines != 4 {
		t.Errorf("%d lines for 4 states:\n%s", lines, got.out)
	}
}

func TestWatchInJSONEndsCleanlyWhenInterrupted(t *testing.T) {
	b := newBench(t)
	b.run("load", b.file("x.csv", rows(3)))
	ctx, cancel := context.WithCancel(context.Background())
	var out, errs growing
	ended := make(chan outcome, 1)
	go func() { ended <- b.runTo(ctx, &out, &errs, "watch", "-o", "json", "--interval", "2ms") }()
	until(t, "the first line", func() bool { return strings.HasSuffix(out.String(), "}\n") })
	cancel()
	got := <-ended
	var record map[string]any
	if err := json.Unmarshal([]byte(got.out), &record); err != nil || got.code != 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	delete(record, "at")
	want := map[string]any{"backlog": 3.0, "running": 0.0, "done": 0.0, "dead": 0.0, "workersReady": 0.0, "perSecond": 0.0}
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestWatchOutlivesARedisThatGoesAway(t *testing.T) {
	b := newBench(t)
	b.run("load", b.file("x.csv", rows(1)))
	var out, errs growing
	ended := make(chan outcome, 1)
	go func() {
		ended <- b.runTo(context.Background(), &out, &errs, "watch", "--until-empty", "--interval", "2ms")
	}()
	until(t, "the first line", func() bool { return strings.Contains(out.String(), "backlog 1") })
	b.server.Kill(t)
	until(t, "the trouble", func() bool { return strings.Contains(errs.String(), "(trying again)") })
	b.server.Resume(t)
	b.commit(b.take(1)[0])
	if got := <-ended; got.code != 0 || !strings.Contains(got.out, "backlog 0 (0 running)  done 1") {
		t.Errorf("got %+v", got)
	}
}

func TestStatusOfAQueueAlone(t *testing.T) {
	b := newBench(t)
	b.died("1")
	b.beat("pod-1")
	got := b.run("status")
	for _, want := range []string{
		"queue      caravan (stream), redis ", ", every write on disk\n", "messages   backlog 0 (0 running), done 0, dead 1\n",
		"heartbeats 1 worker\n", "counters   dead 1, loaded 1\n", "dead letters: `caravan dead list` says why", "\nhealthy\n",
	} {
		if got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("exit code %d, no %q in\n%s%s", got.code, want, got.out, got.err)
		}
	}
}

func TestStatusFindsWhatIsWrongWithRedis(t *testing.T) {
	b := newBench(t, "--appendonly", "no", "--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru")
	b.redis.SAdd(context.Background(), b.keys.IDs, "7")
	got := b.run("status", "-o", "json")
	var report struct {
		Healthy  bool
		Problems []struct{ What, Next string }
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil {
		t.Fatalf("%v in %s", err, got.out)
	}
	var whats []string
	for _, p := range report.Problems {
		whats = append(whats, strings.Fields(p.What)[0]+" "+strings.Fields(p.What)[1]+" "+strings.Fields(p.What)[2])
	}
	want := []string{"redis may evict", "redis keeps nothing", "1 id is"}
	if diff := cmp.Diff(want, whats); diff != "" || got.code != exitFailed || report.Healthy {
		t.Errorf("exit code %d, problems (-want +got):\n%s", got.code, diff)
	}
}

func TestStatusOfAQueueOutOfReachIsAProblem(t *testing.T) {
	b := &bench{t: t, dir: t.TempDir(), url: "redis://127.0.0.1:1"}
	got := b.run("status")
	if got.code != exitFailed || !strings.Contains(got.out, "queue      caravan, out of reach\n") || !strings.Contains(got.out, "→ check --redis-url") {
		t.Errorf("got %+v", got)
	}
}
