package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"caravan.dev/caravan/cmd/caravan/internal/queue"
	"caravan.dev/caravan/contract"
)

func TestLoadAddsEveryRowOfACSV(t *testing.T) {
	b := newBench(t)
	name := b.file("cities.csv", "id,city\n1,Rome\n2,\"Paris, Texas\"\n")
	b.want(b.run("load", name), 0, "2 loaded into queue caravan\n", "")
	want := map[string]string{"1": `{"city":"Rome","id":"1"}`, "2": `{"city":"Paris, Texas","id":"2"}`}
	if diff := cmp.Diff(want, b.jobs()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestLoadTakesTheFirstRowsOnly(t *testing.T) {
	b := newBench(t)
	b.in = "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n"
	b.want(b.run("load", "-", "--format", "jsonl", "--count", "2"), 0, "2 loaded into queue caravan\n", "")
	if diff := cmp.Diff(map[string]string{"1": `{"id":1}`, "2": `{"id":2}`}, b.jobs()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestLoadingTwiceMakesNoDoubles(t *testing.T) {
	b := newBench(t)
	name := b.file("x.jsonl", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"a\"}\n")
	b.want(b.run("load", name), 0, "2 loaded into queue caravan, 1 repeated in the file\n", "")
	b.commit(b.take(1)[0])
	b.want(b.run("load", name), 0, "0 loaded into queue caravan, 1 already in the queue, 1 already done, 1 repeated in the file\n", "")
	if jobs := b.jobs(); len(jobs) != 1 {
		t.Errorf("jobs %v, want b alone", jobs)
	}
}

func TestLoadLeavesMalformedRowsOutAndSaysSo(t *testing.T) {
	b := newBench(t)
	name := b.file("x.csv", "id,city\n1,Rome\n2\n3,Oslo\n,Bonn\n")
	b.want(b.run("load", name), exitMalformed, "2 loaded into queue caravan, 2 malformed\n",
		"x.csv:3: has 1 fields, the header has 2\n"+
			"x.csv:5: field \"id\" is empty; every row needs an id of its own\n"+
			"caravan: 2 malformed rows were left out\n")
	if jobs := b.jobs(); len(jobs) != 2 {
		t.Errorf("jobs %v, want two", jobs)
	}
}

func TestLoadReportsTheFirstMalformedRowsAndCountsTheOthers(t *testing.T) {
	b := newBench(t)
	got := b.run("load", b.file("x.jsonl", "{\"id\":1}\n"+strings.Repeat("oops\n", 150)))
	if got.code != exitMalformed || strings.Count(got.err, "oops") != faultsShown || !strings.Contains(got.err, "… and 130 more rows are malformed\n") {
		t.Errorf("got %+v", got)
	}
}

func TestFileOfAnotherKindIsRefusedAndNothingLoaded(t *testing.T) {
	b := newBench(t)
	for name, test := range map[string]struct{ text, want string }{
		"all.jsonl":   {strings.Repeat("id,city\n", 150) + "{\"id\":1}\n", "all.jsonl cannot be loaded: its first 100 rows are all malformed; is it of another format?"},
		"few.jsonl":   {"id,city\n1,Rome\n", "few.jsonl cannot be loaded: no row is well-formed; is it of another format?"},
		"array.jsonl": {"[{}]", "array.jsonl cannot be loaded: it is a JSON array, not one JSON object per line; convert it: jq -c '.[]'"},
		"empty.csv":   {"", "empty.csv cannot be loaded: it is empty"},
	} {
		got := b.run("load", b.file(name, test.text))
		if got.code != exitFailed || got.out != "" || !strings.HasSuffix(got.err, "caravan: "+test.want+"\n") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if jobs := b.jobs(); len(jobs) != 0 {
		t.Errorf("jobs %v, want none", jobs)
	}
	got := b.run("load", "none.csv")
	if got.code != exitFailed || !strings.Contains(got.err, "none.csv: no such file") {
		t.Errorf("got %+v", got)
	}
}

func TestRowsWithoutIDsGetRandomOnesAndTheUserIsWarned(t *testing.T) {
	b := newBench(t)
	name := b.file("x.csv", "city\nRome\nRome\n")
	b.want(b.run("load", name), 0, "2 loaded into queue caravan\n",
		"2 rows have no field \"id\" and got a random id: loading the file again would load them twice; name a field with --id-field\n")
	if jobs := b.jobs(); len(jobs) != 2 {
		t.Errorf("jobs %v, want two", jobs)
	}
	b.want(b.run("load", name, "--id-field", "city"), 0, "1 loaded into queue caravan, 1 repeated in the file\n", "")
}

func TestLoadReportsInJSON(t *testing.T) {
	b := newBench(t)
	got := b.run("load", b.file("x.jsonl", "{\"id\":1}\n{\"id\":1}\noops\n{\"n\":1}\n"), "-o", "json")
	var report loadReport
	if err := json.Unmarshal([]byte(got.out), &report); err != nil {
		t.Fatalf("%v in %s", err, got.out)
	}
	want := loadReport{
		File: "x.jsonl", Rows: 4, Loaded: 2, Repeated: 1, Malformed: 1, RandomIDs: 1,
		Faults: []fault{{3, `is not a JSON object: "oops"`}},
	}
	if diff := cmp.Diff(want, report); diff != "" || got.code != exitMalformed {
		t.Errorf("exit code %d, report (-want +got):\n%s", got.code, diff)
	}
}

// rows makes a CSV with n rows.
func rows(n int) string {
	var text strings.Builder
	text.WriteString("id,city\n")
	for i := range n {
		fmt.Fprintf(&text, "%d,City number %d\n", i, i)
	}
	return text.String()
}

func TestLoadOfAHundredThousandRowsAddsEachOnce(t *testing.T) {
	b := newBench(t, "--appendfsync", "everysec")
	name := b.file("big.csv", rows(100_000))
	b.want(b.run("load", name), 0, "100,000 loaded into queue caravan\n", "")
	b.want(b.run("load", name), 0, "0 loaded into queue caravan, 100,000 already in the queue\n", "")
	ctx := context.Background()
	length, ids := b.redis.XLen(ctx, b.keys.Jobs).Val(), b.redis.SCard(ctx, b.keys.IDs).Val()
	if length != 100_000 || ids != 100_000 {
		t.Errorf("%d entries, %d ids; want 100,000 of each", length, ids)
	}
}

func TestLoadIntoAFullRedisSaysHowManyWentInAndGoesOnLater(t *testing.T) {
	b := newBench(t, "--maxmemory", "16mb", "--maxmemory-policy", "noeviction")
	name := b.file("big.csv", rows(100_000))
	got := b.run("load", name)
	length := b.redis.XLen(context.Background(), b.keys.Jobs).Val()
	if length == 0 || length == 100_000 {
		t.Fatalf("%d messages in a full redis: the test needs another limit", length)
	}
	var loaded int64
	if _, err := fmt.Sscan(strings.ReplaceAll(strings.Fields(got.out)[0], ",", ""), &loaded); err != nil || loaded != length {
		t.Errorf("it says %q, redis holds %d", got.out, length)
	}
	info := b.memory()
	if used := info.used * 100 / info.limit; used < 50 || used > queue.LoadPercent+5 {
		t.Errorf("loading stopped with %d %% of the memory used, want about %d %%", used, queue.LoadPercent)
	}
	for _, want := range []string{"redis is full: ", "Nothing is lost", "run the same command again", "of 16.0 MiB, and loading stops at 60 %", "caravan results --out FILE --delete"} {
		if got.code != exitFailed || !strings.Contains(got.err, want) {
			t.Errorf("exit code %d, no %q in %q", got.code, want, got.err)
		}
	}
	// What is in needs no room: it can be followed.
	if got := b.run("load", name, "--count", "1000", "--wait", "--timeout", "1ms"); got.code != exitTimeout ||
		!strings.HasPrefix(got.out, "0 loaded into queue caravan, 1,000 already in the queue\n") {
		t.Errorf("loading again what is in: %+v", got)
	}
	b.redis.ConfigSet(context.Background(), "maxmemory", "0")
	b.want(b.run("load", name), 0, fmt.Sprintf("%s loaded into queue caravan, %s already in the queue\n", number(100_000-length), number(length)), "")
}

// number is a count between 1,000 and 999,999 as people write it.
func number(n int64) string { return fmt.Sprintf("%d,%03d", n/1000, n%1000) }

func TestInterruptedLoadSaysHowManyWentIn(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	app := &app{World: World{Out: &growing{}, Err: &growing{}, Now: nil}}
	err := (&loader{app: app, report: loadReport{Loaded: 4000}}).stopped(ctx, ctx.Err())
	want := "interrupted: 4,000 messages are loaded; run the same command again to load the rest; rows that are in are left out by their id"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	got := b.runIn(ctx, "load", b.file("x.csv", rows(3)))
	if got.code != exitInterrupted || len(b.jobs()) != 0 {
		t.Errorf("got %+v with jobs %v", got, b.jobs())
	}
}

// memory is what the server uses of its limit.
func (b *bench) memory() (m struct{ used, limit int64 }) {
	b.t.Helper()
	fields := b.redis.InfoMap(context.Background(), "memory").Val()["Memory"]
	if _, err := fmt.Sscan(fields["used_memory"]+" "+fields["maxmemory"], &m.used, &m.limit); err != nil {
		b.t.Fatal(err)
	}
	return m
}

func TestLoadOfLargeBodiesStopsBeforeTheLimitToo(t *testing.T) {
	b := newBench(t, "--maxmemory", "32mb", "--maxmemory-policy", "noeviction")
	var text strings.Builder
	for i := range 400 {
		fmt.Fprintf(&text, "{\"id\":%d,\"text\":%q}\n", i, strings.Repeat("x", 100_000))
	}
	got := b.run("load", b.file("x.jsonl", text.String()))
	length := b.redis.XLen(context.Background(), b.keys.Jobs).Val()
	if m := b.memory(); got.code != exitFailed || length < 80 || m.used*100 > m.limit*(queue.LoadPercent+10) {
		t.Errorf("%d of 400 loaded, %d of %d bytes used: %+v", length, m.used, m.limit, got)
	}
}

func TestListModePushesIDsAndBodies(t *testing.T) {
	b := newBench(t)
	name := b.file("x.csv", "n,city\n1,\"<Rome>\"\n\"a\"\"2\",Oslo\n")
	b.want(b.run("load", name, "--queue-mode", "list", "--id-field", "n"), 0, "2 loaded into queue caravan\n", "")
	type item struct {
		ID   string            `json:"id"`
		Body map[string]string `json:"body"`
	}
	read := func() (items []item) {
		for _, text := range b.redis.LRange(context.Background(), b.keys.Jobs, 0, -1).Val() {
			var one item
			if err := json.Unmarshal([]byte(text), &one); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			items = append(items, one)
		}
		return items
	}
	want := []item{{"1", map[string]string{"n": "1", "city": "<Rome>"}}, {`a"2`, map[string]string{"n": `a"2`, "city": "Oslo"}}}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	b.run("load", name, "--queue-mode", "list")
	if items := read(); len(items) != 4 || len(items[2].ID) != 36 {
		t.Errorf("rows without ids got none: %+v", items)
	}
	b.want(b.run("load", name, "--queue-mode", "list", "--wait"), exitFailed, "", "caravan: --wait: "+errListMode.Error()+"\n")
}

func TestWaitEndsWhenEveryRowHasItsResult(t *testing.T) {
	b := newBench(t)
	b.beat("pod-1")
	b.beat("pod-2")
	name := b.file("x.csv", rows(200))
	ended := make(chan outcome, 1)
	go func() { ended <- b.run("load", name, "--wait", "--interval", "5ms") }()
	for answered := 0; answered < 200; {
		until(t, "more messages", func() bool { return b.redis.XLen(context.Background(), b.keys.Jobs).Val() > 0 })
		for _, m := range b.take(10) {
			b.commit(m)
			answered++
		}
	}
	got := <-ended
	if got.code != 0 || !strings.HasPrefix(got.out, "200 loaded into queue caravan\n200 done, 0 dead, 0 duplicates\npeak of 2 workers, ") {
		t.Errorf("got %+v", got)
	}
	if !strings.Contains(got.err, "100%  200 of 200 done, 0 dead  workers 2 ready") {
		t.Errorf("the last plain line is missing: %q", got.err)
	}
	// Everything is done: a second run ends at once, with the same summary.
	got = b.run("load", name, "--wait")
	if got.code != 0 || !strings.HasPrefix(got.out, "0 loaded into queue caravan, 200 already done\n200 done, 0 dead, 0 duplicates\n") {
		t.Errorf("second run: %+v", got)
	}
}

func TestWaitWithDeadLettersExitsWithFour(t *testing.T) {
	b := newBench(t)
	name := b.file("x.csv", rows(3))
	ended := make(chan outcome, 1)
	go func() { ended <- b.run("load", name, "--wait", "--interval", "5ms", "-o", "json") }()
	until(t, "three messages", func() bool { return b.redis.XLen(context.Background(), b.keys.Jobs).Val() == 3 })
	taken := b.take(3)
	b.commit(taken[0])
	b.kill(taken[1], "no city")
	b.commit(taken[2])
	got := <-ended
	var report loadReport
	if err := json.Unmarshal([]byte(got.out), &report); err != nil {
		t.Fatalf("%v in %+v", err, got)
	}
	if w := report.Wait; got.code != exitDead || w == nil || w.Done != 2 || w.Dead != 1 || w.Outstanding != 0 {
		t.Errorf("exit code %d, report %s", got.code, got.out)
	}
	if !strings.HasSuffix(got.err, "caravan: 1 message became a dead letter: `caravan dead list` says why\n") {
		t.Errorf("stderr %q", got.err)
	}
}

func TestWaitCountsSecondAnswersAsDuplicates(t *testing.T) {
	b := newBench(t)
	name := b.file("x.csv", rows(2))
	ended := make(chan outcome, 1)
	go func() { ended <- b.run("load", name, "--wait", "--interval", "5ms") }()
	until(t, "both messages", func() bool { return b.redis.XLen(context.Background(), b.keys.Jobs).Val() == 2 })
	double := &redis.XAddArgs{Stream: b.keys.Jobs, Values: []any{contract.FieldID, "0", contract.FieldBody, "{}"}}
	if err := b.redis.XAdd(context.Background(), double).Err(); err != nil {
		t.Fatal(err)
	}
	taken := b.take(3)
	b.commit(taken[0])
	if got := b.script(contract.CommitScript, taken[2].ID, "0", `{"id":"0"}`); got != string(contract.Duplicate) {
		t.Fatalf("second answer: %s", got)
	}
	b.commit(taken[1])
	if got := <-ended; got.code != 0 || !strings.Contains(got.out, "\n2 done, 0 dead, 1 duplicate\n") {
		t.Errorf("got %+v", got)
	}
}

func TestWaitGivesUpAfterItsTimeout(t *testing.T) {
	b := newBench(t)
	got := b.run("load", b.file("x.csv", rows(2)), "--wait", "--timeout", "50ms", "--interval", "5ms")
	if got.code != exitTimeout || !strings.HasSuffix(got.err,
		"caravan: the timeout of 50ms has passed: 2 messages are outstanding and the workers go on; run the same command again to follow them\n") {
		t.Errorf("got %+v", got)
	}
	if !strings.Contains(got.out, "0 done, 0 dead, 0 duplicates\n") {
		t.Errorf("no summary in %q", got.out)
	}
}

func TestInterruptedWaitSaysThatTheWorkersGoOn(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	var out, errs growing
	ended := make(chan outcome, 1)
	name := b.file("x.csv", rows(2))
	go func() { ended <- b.runTo(ctx, &out, &errs, "load", name, "--wait", "--interval", "5ms") }()
	until(t, "the first progress line", func() bool { return strings.Contains(errs.String(), "0 of 2 done") })
	cancel()
	got := <-ended
	if got.code != exitInterrupted || !strings.HasSuffix(got.err,
		"caravan: interrupted: 2 messages are outstanding and the workers go on; run the same command again to follow them\n") {
		t.Errorf("got %+v", got)
	}
}
