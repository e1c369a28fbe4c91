package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"caravan.dev/caravan/cmd/caravan/internal/project"
	"caravan.dev/caravan/contract"
	"caravan.dev/caravan/internal/golden"
	"caravan.dev/caravan/internal/redistest"
)

// patience is how long a test waits for a condition, on a busy machine.
const patience = 60 * time.Second

// bench is a queue on a real Redis server and a command line that works on it.
type bench struct {
	t      *testing.T
	redis  *redis.Client
	server *redistest.Server
	url    string
	keys   contract.Keys
	dir    string
	// in is the standard input of the next runs.
	in string
	// now is the clock of the next runs; nil for the real one.
	now func() time.Time
}

func newBench(t *testing.T, redisArgs ...string) *bench {
	t.Helper()
	server := redistest.StartServer(t, redisArgs...)
	keys, err := contract.NewKeys("caravan")
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, redis: server.Client, server: server, url: server.URL(), keys: keys, dir: t.TempDir()}
}

// outcome is what a run of the command line left.
type outcome struct {
	code     int
	out, err string
}

func (b *bench) run(args ...string) outcome {
	b.t.Helper()
	return b.runIn(context.Background(), args...)
}

func (b *bench) runIn(ctx context.Context, args ...string) outcome {
	b.t.Helper()
	var out, errs bytes.Buffer
	return b.runTo(ctx, &out, &errs, args...)
}

// text is a buffer that can be read or is a plain one; runTo returns what it holds.
type text interface {
	Write([]byte) (int, error)
	String() string
}

func (b *bench) runTo(ctx context.Context, out, errs text, args ...string) outcome {
	now := b.now
	if now == nil {
		now = time.Now
	}
	code := Run(ctx, args, World{
		In: strings.NewReader(b.in), Out: out, Err: errs, Dir: b.dir, Now: now,
		Env: project.Env{"CARAVAN_REDIS_URL": b.url},
	})
	return outcome{code, out.String(), errs.String()}
}

// want checks an outcome as a whole.
func (b *bench) want(got outcome, code int, out, errs string) {
	b.t.Helper()
	if diff := cmp.Diff(outcome{code, out, errs}, got, cmp.AllowUnexported(outcome{})); diff != "" {
		b.t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

// file writes a file in the working folder and returns its name.
func (b *bench) file(name, text string) string {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return name
}

func (b *bench) read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// jobs are the bodies in the stream by id.
func (b *bench) jobs() map[string]string {
	b.t.Helper()
	entries, err := b.redis.XRange(context.Background(), b.keys.Jobs, "-", "+").Result()
	if err != nil {
		b.t.Fatal(err)
	}
	jobs := map[string]string{}
	for _, entry := range entries {
		jobs[entry.Values[contract.FieldID].(string)] = entry.Values[contract.FieldBody].(string)
	}
	return jobs
}

// take reads messages as a worker does, n at most, and returns them; none when the stream is exhausted.
func (b *bench) take(n int64) []redis.XMessage {
	b.t.Helper()
	ctx := context.Background()
	err := b.redis.XGroupCreateMkStream(ctx, b.keys.Jobs, contract.Group, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		b.t.Fatal(err)
	}
	streams, err := b.redis.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: contract.Group, Consumer: "pod-1", Streams: []string{b.keys.Jobs, ">"}, Count: n, Block: -1,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return streams[0].Messages
}

// script runs one of the contract's scripts and returns its answer.
func (b *bench) script(script string, args ...any) string {
	b.t.Helper()
	answer, err := b.redis.Eval(context.Background(), script, b.keys.All(), args...).Text()
	if err != nil {
		b.t.Fatal(err)
	}
	return answer
}

// commit gives a message an answer, as a worker does.
func (b *bench) commit(m redis.XMessage) {
	b.t.Helper()
	id := m.Values[contract.FieldID].(string)
	result, err := json.Marshal(contract.Result{
		ID: id, Result: json.RawMessage(`{"mayor":"M. ` + id + `"}`), Model: "tiny", Worker: "pod-1", Attempts: 1, Seconds: 0.5, Tokens: 7,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if got := b.script(contract.CommitScript, m.ID, id, result); got != string(contract.Committed) {
		b.t.Fatalf("commit of %s: %s", id, got)
	}
}

// kill makes a message a dead letter, as a worker does.
func (b *bench) kill(m redis.XMessage, reason string) {
	b.t.Helper()
	if got := b.script(contract.FailScript, m.ID, "pod-1", string(contract.Poison), reason, 3, contract.MaxAbandoned); got != string(contract.Dead) {
		b.t.Fatalf("failing %s: %s", m.ID, got)
	}
}

// died loads rows and makes all of them dead letters.
func (b *bench) died(ids ...string) {
	b.t.Helper()
	rows := ""
	for _, id := range ids {
		rows += fmt.Sprintf("{\"id\":%q,\"city\":\"c%s\"}\n", id, id)
	}
	b.in = rows
	if got := b.run("load", "-", "--format", "jsonl"); got.code != 0 {
		b.t.Fatalf("loading: %+v", got)
	}
	b.in = ""
	for _, m := range b.take(1000) {
		b.kill(m, "no city")
	}
}

// beat lets a worker be heard of.
func (b *bench) beat(worker string) {
	b.t.Helper()
	if err := b.redis.Eval(context.Background(), contract.BeatScript, b.keys.All(), worker, contract.DeadAfter.Milliseconds(),
		time.Minute.Milliseconds(), contract.MaxAbandoned, contract.ReapLimit, contract.ForgetAfter.Milliseconds()).Err(); err != nil {
		b.t.Fatal(err)
	}
}

// growing is a buffer that can be read while it is written.
type growing struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write implements io.Writer.
func (g *growing) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.buffer.Write(p)
}

// String is what was written so far.
func (g *growing) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.buffer.String()
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func TestHelpOfEveryCommandHasExamples(t *testing.T) {
	b := &bench{t: t, dir: t.TempDir()}
	for name, args := range map[string][]string{
		"root": nil, "load": {"load"}, "watch": {"watch"}, "results": {"results"}, "status": {"status"}, "dead": {"dead"},
		"dead-list": {"dead", "list"}, "dead-replay": {"dead", "replay"}, "dead-purge": {"dead", "purge"},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.run(append(args, "--help")...)
			if got.code != 0 || !strings.Contains(got.out, "Examples:") {
				t.Errorf("no help with examples: %+v", got)
			}
			golden.Check(t, "help-"+name+".txt", got.out)
		})
	}
}

func TestWrongUsageExitsWithTwoAndSaysWhatIsRight(t *testing.T) {
	b := &bench{t: t, dir: t.TempDir(), url: "redis://127.0.0.1:1"}
	for _, test := range []struct{ args, want string }{
		{"lod x", "unknown command \"lod\" for \"caravan\"; see `caravan --help`"},
		{"load", "accepts 1 arg(s), received 0; see `caravan load --help`"},
		{"load x.csv --cuont 3", "unknown flag: --cuont; see `caravan load --help`"},
		{"load x.csv --count -3", "--count and --timeout must not be negative, --interval must be positive"},
		{"load x.txt", "x.txt does not end in .csv or .jsonl; say what it is with --format csv or --format jsonl"},
		{"watch -o yaml", "--output \"yaml\": use text or json; see `caravan watch --help`"},
		{"watch --stack dev", "--stack and --redis-url (or CARAVAN_REDIS_URL) exclude each other; see `caravan watch --help`"},
		{"watch --interval 0s", "--interval must be positive"},
		{"status --redis-url http://x", "--redis-url: redis: invalid URL scheme: http; it looks like redis://user:password@host:6379"},
		{"results --format xml", "--format \"xml\": use jsonl or csv"},
		{"results --format csv -o json", "--format csv and --output json exclude each other"},
		{"results --delete", "--delete needs --out: only what is in a file is deleted"},
		{"results --out x --yes", "--yes goes with --delete"},
		{"dead lst", "unknown command \"lst\" for \"caravan dead\"; see `caravan dead --help`"},
		{"dead replay", "say which dead letters: --id (may be repeated) or --all"},
		{"dead replay --all --from x", "--from excludes --id and --all"},
		{"dead purge --all --id 1", "say which dead letters: --id (may be repeated) or --all"},
	} {
		t.Run(test.args, func(t *testing.T) {
			b.t = t
			b.want(b.run(strings.Fields(test.args)...), exitUsage, "", "caravan: "+test.want+"\n")
		})
	}
}

func TestQueueOutOfReachIsSaid(t *testing.T) {
	b := &bench{t: t, dir: t.TempDir(), url: "redis://127.0.0.1:1"}
	got := b.run("watch")
	if got.code != exitFailed || !strings.HasPrefix(got.err, "caravan: reaching redis: dial tcp 127.0.0.1:1") {
		t.Errorf("got %+v", got)
	}
}

func TestOutsideAProjectTheWayOutIsSaid(t *testing.T) {
	b := &bench{t: t, dir: t.TempDir()}
	b.want(b.run("status"), exitFailed, "", "caravan: "+project.ErrNoProject.Error()+"\n")
}
