package pipelines_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"caravan.dev/caravan/contract"
	"caravan.dev/caravan/internal/redistest"
	"caravan.dev/caravan/pipelines"
)

// ollamaStandIn is a paced stand-in for Ollama: it speaks /api/generate, takes its
// time, and misbehaves for the prompts that it was told to.
type ollamaStandIn struct {
	*httptest.Server
	pace time.Duration

	mutex sync.Mutex
	// outage, while there is one, answers all requests.
	outage misdeed
	// misdeeds are the answers to the first requests for a word in the prompt; what
	// comes after them is healthy.
	misdeeds map[string][]misdeed
	requests map[string][]generateRequest
	running  int
	peak     int
}

type generateRequest struct {
	Model     string         `json:"model"`
	Prompt    string         `json:"prompt"`
	System    string         `json:"system"`
	Format    map[string]any `json:"format"`
	Stream    *bool          `json:"stream"`
	KeepAlive int            `json:"keep_alive"`
	Options   map[string]any `json:"options"`
}

// misdeed answers a request badly.
type misdeed func(http.ResponseWriter, *http.Request)

func status(code int) misdeed {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error":"stand-in"}`, code) }
}

// broken is Ollama's answer when something is wrong with itself.
func broken(text string) misdeed {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
	}
}

// Ollama's own words.
const (
	noLoad   = "model failed to load, this may be due to resource limitations or an internal error, check ollama server logs for details"
	noMemory = "model requires more system memory (5.6 GiB) than is available (3.1 GiB)"
	noStart  = "timed out waiting for llama runner to start - progress 0.00 - "
	ended    = "llama runner process has terminated: signal: killed"
	vanished = "llama runner process no longer running: -1 "
	stopped  = "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details"
	cutOff   = "an error was encountered while running the model: unexpected EOF"
	cuda     = "CUDA error: an illegal memory access was encountered"
)

func reply(body string) misdeed {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) }
}

// hang answers nothing until the caller has had enough.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// cut breaks the connection in the middle of the answer.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func newStandIn(t *testing.T, pace time.Duration, misdeeds map[string][]misdeed) *ollamaStandIn {
	s := &ollamaStandIn{pace: pace, misdeeds: misdeeds, requests: map[string][]generateRequest{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// city is the word of a prompt that names the message.
var city = regexp.MustCompile(`city-[a-z0-9-]+`)

func (s *ollamaStandIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request generateRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || r.URL.Path != "/api/generate" {
		http.Error(w, "stand-in: bad request", http.StatusBadRequest)
		return
	}
	word := city.FindString(request.Prompt)
	if bad := s.begin(word, request); bad != nil {
		defer s.end()
		bad(w, r)
		return
	}
	defer s.end()
	time.Sleep(s.pace)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"model": request.Model, "response": " Mayor of " + word + "\nand more", "done": true, "done_reason": "stop",
		"eval_count": 7,
	})
}

func (s *ollamaStandIn) begin(word string, request generateRequest) misdeed {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.running++
	s.peak = max(s.peak, s.running)
	s.requests[word] = append(s.requests[word], request)
	if s.outage != nil || len(s.misdeeds[word]) == 0 {
		return s.outage
	}
	next := s.misdeeds[word][0]
	s.misdeeds[word] = s.misdeeds[word][1:]
	return next
}

// suffer begins an outage; nil ends it.
func (s *ollamaStandIn) suffer(outage misdeed) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.outage = outage
}

func (s *ollamaStandIn) end() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.running--
}

// asked is how often the model was asked for a word.
func (s *ollamaStandIn) asked(word string) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.requests[word])
}

func (s *ollamaStandIn) inFlight() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.running
}

// rig is a real Redis, a stand-in for Ollama, and settings with short times.
type rig struct {
	*testing.T
	redis    *redistest.Server
	model    *ollamaStandIn
	settings pipelines.Settings
}

func newRig(t *testing.T, pace time.Duration, misdeeds map[string][]misdeed) *rig {
	t.Helper()
	t.Parallel()
	needBento(t)
	r := &rig{T: t, redis: redistest.StartServer(t), model: newStandIn(t, pace, misdeeds), settings: settings(t)}
	r.settings.ServerURL = r.model.URL
	r.settings.HTTPTimeout = 10 * time.Second
	r.settings.ShutdownTimeout = 40 * time.Second
	r.settings.MinIdle = time.Minute
	r.settings.BeatEvery = 200 * time.Millisecond
	r.settings.DeadAfter = 2 * time.Second
	r.settings.WaitPause = 250 * time.Millisecond
	return r
}

// worker is a running Bento.
type worker struct {
	*exec.Cmd
	log  logText
	port string
	done chan struct{}
	err  error // of the process; set when done is closed
}

// logText collects what a process writes while others read it.
type logText struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.Write(p)
}

func (l *logText) text() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.String()
}

// start runs a worker with the pipeline until the test ends.
func (r *rig) start(name string, p pipelines.Pipeline) *worker {
	r.Helper()
	file := filepath.Join(r.TempDir(), name+".yaml")
	if err := os.WriteFile(file, []byte(document(r.T, p, r.settings)), 0o600); err != nil {
		r.Fatal(err)
	}
	w := &worker{port: freePort(r.T), done: make(chan struct{})}
	w.Cmd = exec.Command(needBento(r.T), "-c", file, "-s", "http.address=127.0.0.1:"+w.port)
	w.Env = append(os.Environ(), "REDIS_URL="+r.redis.URL(), "POD_NAME="+name)
	w.Stdout, w.Stderr = &w.log, &w.log
	w.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when the test binary is killed
	if err := w.Start(); err != nil {
		r.Fatal(err)
	}
	go func() {
		w.err = w.Wait()
		close(w.done)
	}()
	r.Cleanup(func() {
		_ = w.Process.Kill()
		select {
		case <-w.done:
		case <-time.After(patience):
			r.Errorf("worker %s did not end", name)
		}
		if r.Failed() {
			r.Logf("log of %s:\n%s", name, w.log.text())
		}
	})
	return w
}

// stop sends the signal and waits for the end.
func (r *rig) stop(w *worker, signal syscall.Signal) error {
	r.Helper()
	if err := w.Process.Signal(signal); err != nil {
		r.Fatal(err)
	}
	select {
	case <-w.done:
		return w.err
	case <-time.After(patience):
		r.Fatalf("the worker did not end within %s of %s", patience, signal)
		return nil
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// patience is how long a condition may take to come true on a busy machine.
const patience = 60 * time.Second

func (r *rig) eventually(what string, condition func() bool) {
	r.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("not within %s: %s; stats %v", patience, what, r.stats())
		}
	}
}

// settled waits until nothing is outstanding and checks that nothing was left behind.
func (r *rig) settled() {
	r.Helper()
	r.eventually("the stream is empty", func() bool {
		length, err := r.redis.XLen(ctx, r.settings.Queue.Jobs).Result()
		return err == nil && length == 0
	})
	pending, err := r.redis.XPending(ctx, r.settings.Queue.Jobs, contract.Group).Result()
	if err != nil || pending.Count != 0 {
		r.Errorf("pending = %+v, %v; want none", pending, err)
	}
	if ids := r.redis.SMembers(ctx, r.settings.Queue.IDs).Val(); len(ids) != 0 {
		r.Errorf("outstanding ids = %v, want none", ids)
	}
}

var ctx = context.Background()

func (r *rig) load(pairs ...any) {
	r.Helper()
	if err := r.redis.Eval(ctx, contract.LoadScript, r.settings.Queue.All(), pairs...).Err(); err != nil {
		r.Fatal(err)
	}
}

// loadCities loads n messages city-0 … and returns their ids.
func (r *rig) loadCities(n int) []string {
	r.Helper()
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf("city-%d", i))
		r.load(ids[i], message(ids[i]))
	}
	slices.Sort(ids)
	return ids
}

func message(city string) string { return fmt.Sprintf(`{"city":%q,"country":"Nowhere"}`, city) }

func (r *rig) results() map[string]contract.Result {
	r.Helper()
	results := map[string]contract.Result{}
	for id, text := range r.redis.HGetAll(ctx, r.settings.Queue.Results).Val() {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		var result contract.Result
		if err := decoder.Decode(&result); err != nil {
			r.Fatalf("result of %s: %v in %s", id, err, text)
		}
		results[id] = result
	}
	return results
}

// dead are the dead letters, "reason (attempts)" by id.
func (r *rig) dead() map[string]string {
	dead := map[string]string{}
	for _, letter := range r.redis.XRange(ctx, r.settings.Queue.Dead, "-", "+").Val() {
		attempts, _ := letter.Values[contract.FieldAttempts].(string)
		dead[letter.Values[contract.FieldID].(string)] = fmt.Sprintf("%s (%s)", letter.Values[contract.FieldReason], attempts)
	}
	return dead
}

func (r *rig) stats() map[string]string {
	return r.redis.HGetAll(ctx, r.settings.Queue.Stats).Val()
}

// wantAnswered checks that each id has its result, written once, and nothing died.
func (r *rig) wantAnswered(ids []string) {
	r.Helper()
	if got := slices.Sorted(maps.Keys(r.results())); !slices.Equal(got, ids) {
		r.Errorf("results of %v, want %v", got, ids)
	}
	stats := r.stats()
	if stats["done"] != strconv.Itoa(len(ids)) || stats["duplicate"] != "" || stats["dead"] != "" {
		r.Errorf("stats = %v, want %d done, none duplicate, none dead", stats, len(ids))
	}
}

func repeat(m misdeed, n int) []misdeed { return slices.Repeat([]misdeed{m}, n) }

func TestEveryMessageComesToItsEnd(t *testing.T) {
	const always = 50
	cases := map[string]struct {
		body     string // default: a message about the city
		misdeeds []misdeed
		attempts int    // of the result
		dead     string // reason (attempts) of the dead letter
		asked    int
	}{
		"city-healthy":      {attempts: 1, asked: 1},
		"city-not-json":     {body: `{"city":`, dead: "message: not JSON (1)"},
		"city-empty-body":   {body: ``, dead: "message: not JSON (1)"},
		"city-not-object":   {body: `"DEAD"`, dead: "message: not a JSON object (1)"},
		"city-no-field":     {body: `{"country":"Nowhere"}`, dead: "validate: no city in the message (1)"},
		"city-empty-field":  {body: `{"city":"x","country":" "}`, dead: "validate: no country in the message (1)"},
		"city-400":          {misdeeds: repeat(status(400), always), dead: "answer: .*400 Bad Request.*stand-in.* \\(1\\)", asked: 1},
		"city-413":          {misdeeds: repeat(status(413), always), dead: "answer: .*413 .* \\(1\\)", asked: 1},
		"city-422":          {misdeeds: repeat(status(422), always), dead: "answer: .*422 .* \\(1\\)", asked: 1},
		"city-500-healthy":  {misdeeds: repeat(status(500), 2), attempts: 3, asked: 3},
		"city-500":          {misdeeds: repeat(status(500), always), dead: "answer: .*500 .* \\(3\\)", asked: 3},
		"city-no-load":      {misdeeds: repeat(broken(noLoad), 4), attempts: 1, asked: 5},
		"city-no-memory":    {misdeeds: repeat(broken(noMemory), 4), attempts: 1, asked: 5},
		"city-no-start":     {misdeeds: repeat(broken(noStart), 4), attempts: 1, asked: 5},
		"city-ended":        {misdeeds: repeat(broken(ended), 4), attempts: 1, asked: 5},
		"city-vanished":     {misdeeds: repeat(broken(vanished), 4), attempts: 1, asked: 5},
		"city-stopped":      {misdeeds: repeat(broken(stopped), 4), attempts: 1, asked: 5},
		"city-cut-off":      {misdeeds: repeat(broken(cutOff), always), dead: "answer: .*500.*" + cutOff + ".* \\(\\)", asked: contract.MaxAbandoned},
		"city-cuda":         {misdeeds: repeat(broken(cuda), always), dead: "answer: .*500.*" + cuda + ".* \\(\\)", asked: contract.MaxAbandoned},
		"city-empty":        {misdeeds: repeat(reply(`{"response":" ","done":true}`), always), dead: "answer: empty (3)", asked: 3},
		"city-load":         {misdeeds: repeat(reply(`{"response":"x","done":true,"done_reason":"load"}`), always), dead: "answer: empty (3)", asked: 3},
		"city-unfinished":   {misdeeds: repeat(reply(`{"response":"x","done":false}`), always), dead: "answer: unfinished (3)", asked: 3},
		"city-html":         {misdeeds: repeat(reply(`<html>`), always), dead: "answer: not JSON (3)", asked: 3},
		"city-array":        {misdeeds: repeat(reply(`[]`), always), dead: "answer: .* \\(3\\)", asked: 3},
		"city-404-healthy":  {misdeeds: repeat(status(404), 4), attempts: 1, asked: 5},
		"city-429-healthy":  {misdeeds: repeat(status(429), 4), attempts: 1, asked: 5},
		"city-503-healthy":  {misdeeds: repeat(status(503), 4), attempts: 1, asked: 5},
		"city-504-healthy":  {misdeeds: repeat(status(504), 4), attempts: 1, asked: 5},
		"city-502-healthy":  {misdeeds: repeat(status(502), 4), attempts: 1, asked: 5},
		"city-cut-healthy":  {misdeeds: repeat(cut, 4), attempts: 1, asked: 5},
		"city-cut":          {misdeeds: repeat(cut, always), dead: "answer: .*EOF \\(\\)", asked: contract.MaxAbandoned},
		"city-slow-healthy": {misdeeds: repeat(hang, 1), attempts: 2, asked: 2},
		"city-slow":         {misdeeds: repeat(hang, always), dead: "answer: .*Timeout.* \\(3\\)", asked: 3},
		"city-object":       {misdeeds: repeat(reply(`{"response":{"a":1},"done":true}`), always), dead: "answer: empty (3)", asked: 3},
	}
	misdeeds := map[string][]misdeed{}
	for id, c := range cases {
		misdeeds[id] = c.misdeeds
	}
	r := newRig(t, time.Millisecond, misdeeds)
	r.settings.HTTPTimeout = 500 * time.Millisecond
	r.settings.Slots = 8
	for id, c := range cases {
		body := c.body
		if body == "" && id != "city-empty-body" {
			body = message(id)
		}
		r.load(id, body)
	}
	r.start("worker-a", load(t, ".", "mayors"))
	r.settled()

	results, dead := r.results(), r.dead()
	for id, c := range cases {
		result, answered := results[id]
		if answered != (c.attempts > 0) || result.Attempts != c.attempts {
			t.Errorf("%s: result %+v, want one after %d attempts", id, result, c.attempts)
		}
		if want := "^" + c.dead + "$"; !regexp.MustCompile(want).MatchString(dead[id]) && dead[id] != c.dead {
			t.Errorf("%s: dead letter %q, want %q", id, dead[id], c.dead)
		}
		if asked := r.model.asked(id); asked != c.asked {
			t.Errorf("%s: the model was asked %d times, want %d", id, asked, c.asked)
		}
	}
}

func TestAResultHoldsWhatTheContractSays(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, nil)
	r.load("city-bern", message("city-bern"))
	r.start("worker-a", load(t, ".", "mayors"))
	r.settled()
	result := r.results()["city-bern"]
	if want := `{"city":"city-bern","country":"Nowhere","mayor":"Mayor of city-bern"}`; string(result.Result) != want {
		t.Errorf("result = %s, want %s", result.Result, want)
	}
	if result.ID != "city-bern" || result.Model != "qwen2.5:0.5b" || result.Worker != "worker-a" || result.Attempts != 1 || result.Tokens != 7 {
		t.Errorf("result = %+v", result)
	}
	if result.Seconds < 0.05 || result.Seconds > 30 {
		t.Errorf("seconds = %v, want about 0.05", result.Seconds)
	}
	request := r.model.requests["city-bern"][0]
	if request.Model != "qwen2.5:0.5b" || request.Stream == nil || *request.Stream || request.KeepAlive != -1 ||
		request.Options["temperature"] != 0.0 || request.Options["num_predict"] != 24.0 || request.System == "" {
		t.Errorf("request = %+v", request)
	}
}

func TestEntriesAddedByHand(t *testing.T) {
	r := newRig(t, time.Millisecond, nil)
	add := func(fields ...string) string {
		t.Helper()
		id, err := r.redis.Do(ctx, append([]any{"XADD", r.settings.Queue.Jobs, "*"}, anys(fields)...)...).Text()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	withoutID := add("body", message("city-a"))
	withoutBody := add("bdoy", message("city-b"))
	add("id", "odd", "body", message("city-c"), "attempts", "many", "fault", "poison", "step", "answer", "message", "x")
	r.start("worker-a", load(t, ".", "mayors"))
	r.settled()
	if got := slices.Sorted(maps.Keys(r.results())); !slices.Equal(got, []string{withoutID, "odd"}) {
		t.Errorf("results of %v, want of %s and odd", got, withoutID)
	}
	if got := r.dead(); len(got) != 1 || got[withoutBody] != "no body ()" {
		t.Errorf("dead = %v, want just %s: no body", got, withoutBody)
	}
}

func anys(texts []string) []any {
	var list []any
	for _, text := range texts {
		list = append(list, text)
	}
	return list
}

func TestAnOutageOfTheModelKillsNoMessage(t *testing.T) {
	r := newRig(t, time.Millisecond, nil)
	address := r.model.Listener.Addr().String()
	r.model.Close()
	r.sitOut(func() {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		back := &httptest.Server{Listener: listener, Config: &http.Server{Handler: r.model}}
		back.Start()
		t.Cleanup(back.Close)
	})
}

func TestAModelThatCannotBeLoadedKillsNoMessage(t *testing.T) {
	for _, text := range []string{noLoad, noMemory} {
		t.Run(text[:20], func(t *testing.T) {
			r := newRig(t, time.Millisecond, nil)
			r.model.suffer(broken(text))
			r.sitOut(func() { r.model.suffer(nil) })
		})
	}
}

// sitOut lets messages wait for a model that is out of order until it is mended, and
// checks that none of them has lost anything by it.
func (r *rig) sitOut(mend func()) {
	r.Helper()
	ids := r.loadCities(20)
	r.start("worker-a", load(r.T, ".", "mayors"))
	r.eventually("every message has waited, some often", func() bool {
		waited, _ := strconv.Atoi(r.stats()["waited"])
		return waited > 60
	})
	mend()
	r.settled()
	r.wantAnswered(ids)
	for id, result := range r.results() {
		if result.Attempts != 1 {
			r.Errorf("%s took %d attempts, want 1", id, result.Attempts)
		}
	}
}

func TestAnOutageOfRedisLosesAndKillsNoMessage(t *testing.T) {
	r := newRig(t, 100*time.Millisecond, nil)
	ids := r.loadCities(60)
	r.start("worker-a", load(t, ".", "mayors"))
	r.start("worker-b", load(t, ".", "mayors"))
	r.eventually("some are done", func() bool { return len(r.results()) > 5 })
	r.redis.Kill(t)
	time.Sleep(2 * r.settings.DeadAfter) // so long that everybody's heartbeat is too old
	r.redis.Resume(t)
	r.settled()
	r.wantAnswered(ids)
	for _, id := range ids {
		if asked := r.model.asked(id); asked != 1 {
			t.Errorf("the model was asked %d times for %s, want once: an answer was not held", asked, id)
		}
	}
}

func TestSIGTERMUnderLoadLosesNothingAndAsksTwiceForNothing(t *testing.T) {
	// A message takes longer than a silent worker is given: only the heartbeat of the
	// draining worker keeps its messages from being taken back.
	r := newRig(t, 4*time.Second, nil)
	ids := r.loadCities(12)
	first := r.start("worker-a", load(t, ".", "mayors"))
	r.eventually("both slots work", func() bool { return r.model.inFlight() == 2 })
	r.start("worker-b", load(t, ".", "mayors"))
	r.eventually("all slots work", func() bool { return r.model.inFlight() == 4 })
	if pending := r.redis.XPending(ctx, r.settings.Queue.Jobs, contract.Group).Val(); pending.Count != 4 {
		t.Errorf("%d messages in hand with 4 slots: messages wait for one worker while another could take them", pending.Count)
	}
	began := time.Now()
	if err := r.stop(first, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if took := time.Since(began); took > r.model.pace+2*time.Second {
		t.Errorf("stopping took %s, longer than a message: a new one was begun", took)
	}
	r.settled()
	r.wantAnswered(ids)
	for _, id := range ids {
		if asked := r.model.asked(id); asked != 1 {
			t.Errorf("the model was asked %d times for %s, want once", asked, id)
		}
	}
	if r.model.peak > 4 {
		t.Errorf("%d requests at once on 2 workers with 2 slots", r.model.peak)
	}
}

func TestADrainingWorkerKeepsItsMessageThroughARestartOfRedis(t *testing.T) {
	answer := make(chan struct{})
	held := func(w http.ResponseWriter, request *http.Request) {
		select {
		case <-answer:
			reply(`{"response":"Somebody","done":true}`)(w, request)
		case <-request.Context().Done():
		}
	}
	r := newRig(t, time.Millisecond, map[string][]misdeed{"city-0": {held}})
	r.settings.HTTPTimeout, r.settings.ShutdownTimeout, r.settings.MinIdle = 4*patience, 8*patience, 16*patience
	ids := r.loadCities(1)
	draining := r.start("worker-a", load(t, ".", "mayors"))
	r.eventually("the model is asked", func() bool { return r.model.asked("city-0") == 1 })
	asked := r.life("worker-a").Last
	r.eventually("it has beaten since", func() bool { return r.life("worker-a").Last.Sub(asked) > 2*r.settings.BeatEvery })
	r.start("worker-b", load(t, ".", "mayors"))
	r.eventually("the other lives", func() bool { return !r.life("worker-b").Last.IsZero() })

	if err := draining.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r.eventually("it drains", func() bool { return strings.Contains(draining.log.text(), "SIGTERM") })
	r.redis.Kill(t)
	r.eventually("it has missed a beat", func() bool { return strings.Contains(draining.log.text(), "heartbeat failed") })
	r.redis.Resume(t)
	r.eventually("the other has been alive for long enough to take back", func() bool {
		life := r.life("worker-b")
		return life.Last.Sub(life.Since) > 2*r.settings.DeadAfter
	})
	close(answer)
	r.settled()
	r.wantAnswered(ids)
	if by := r.results()["city-0"].Worker; by != "worker-a" || r.model.asked("city-0") != 1 {
		t.Errorf("answered by %s after the model was asked %d times, want worker-a and once", by, r.model.asked("city-0"))
	}
	if stats := r.stats(); stats["reaped"] != "" || stats["stale"] != "" {
		t.Errorf("stats = %v, want nothing reaped, nothing stale", stats)
	}
	r.eventually("it has ended", func() bool {
		select {
		case <-draining.done:
			return true
		default:
			return false
		}
	})
	if draining.err != nil {
		t.Errorf("after SIGTERM: %v", draining.err)
	}
}

// life is a worker's heartbeat; the zero Beat while there is none, or no Redis.
func (r *rig) life(worker string) contract.Beat {
	beat, _ := contract.ParseBeat(r.redis.HGet(ctx, r.settings.Queue.Workers, worker).Val())
	return beat
}

func TestAnIdleWorkerStopsQuickly(t *testing.T) {
	r := newRig(t, time.Millisecond, nil)
	w := r.start("worker-a", load(t, ".", "mayors"))
	// Bento listens for signals only a moment after its first beat.
	r.eventually("ready, with some heartbeats", func() bool {
		life := r.life("worker-a")
		return w.ready() && life.Last.Sub(life.Since) > 5*r.settings.BeatEvery
	})
	began := time.Now()
	if err := r.stop(w, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestAWorkerWithoutRedisStops(t *testing.T) {
	r := newRig(t, time.Millisecond, nil)
	r.settings.ShutdownTimeout = 10 * time.Minute
	r.redis.Kill(t)
	w := r.start("worker-a", load(t, ".", "mayors"))
	r.eventually("ready", func() bool { return w.ready() })
	r.eventually("it has tried Redis", func() bool { return strings.Contains(w.log.text(), "connection refused") })
	if err := r.stop(w, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

func (w *worker) ready() bool {
	response, err := http.Get("http://127.0.0.1:" + w.port + "/ready")
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK
}

func TestKillUnderLoadLosesNothingAndDoublesNothing(t *testing.T) {
	r := newRig(t, 100*time.Millisecond, nil)
	ids := r.loadCities(80)
	first := r.start("worker-a", load(t, ".", "mayors"))
	r.start("worker-b", load(t, ".", "mayors"))
	r.eventually("some are done", func() bool { return len(r.results()) > 10 })
	_ = r.stop(first, syscall.SIGKILL)
	r.settled()
	r.wantAnswered(ids)
	if r.stats()["reaped"] == "" {
		t.Error("nothing was taken back: the worker was killed while it had nothing in hand")
	}
}

func TestAMessageSurvivesTheDeathOfAllWorkers(t *testing.T) {
	r := newRig(t, 500*time.Millisecond, nil)
	ids := r.loadCities(6)
	for _, name := range []string{"worker-a", "worker-b"} {
		w := r.start(name, load(t, ".", "mayors"))
		r.eventually("the slots work", func() bool { return r.model.inFlight() == 2 })
		_ = r.stop(w, syscall.SIGKILL)
	}
	r.start("worker-c", load(t, ".", "mayors"))
	r.settled()
	r.wantAnswered(ids)
}

func TestAWorkerThatIsStartedAgainTakesBackItsOwn(t *testing.T) {
	r := newRig(t, 100*time.Millisecond, map[string][]misdeed{"city-0": {hang}, "city-1": {hang}})
	r.settings.DeadAfter = 10 * time.Minute // nobody else is to do it
	ids := r.loadCities(6)
	w := r.start("worker-a", load(t, ".", "mayors"))
	r.eventually("both slots hang", func() bool { return r.model.inFlight() == 2 })
	_ = r.stop(w, syscall.SIGKILL)
	r.start("worker-a", load(t, ".", "mayors"))
	r.settled()
	r.wantAnswered(ids)
	if reaped := r.stats()["reaped"]; reaped != "2" {
		t.Errorf("reaped = %q, want 2", reaped)
	}
}

func TestAMappingCanNeitherLoseAMessageNorTouchItsMetadata(t *testing.T) {
	for _, c := range []struct{ name, validate, request, result, dead string }{
		{"validate deletes", "root = deleted()", "", "", "validate: "},
		{"request deletes", "", "root = deleted()", "", "request: "},
		{"result deletes", "", "", "root = deleted()", "result: "},
		{"request is text", "", `root = "who?"`, "", "request: the request is not an object"},
		{"result is text", "", "", `root = "nobody"`, "result: the result is not an object"},
		{"result throws", "", "", `root = throw("no good")`, "result: no good"},
		{"all wipe the metadata", "meta = deleted()", "meta = deleted()\nroot.prompt = this.city", "meta = deleted()\nroot.x = 1", ""},
		{"all forge the metadata", forge, forge + "\nroot.prompt = this.city", forge + "\nroot.x = 1", ""},
		{"request overrides ours", "", "root = {\"model\":\"x\",\"stream\":true,\"keep_alive\":1,\"prompt\":this.city,\"options\":{\"num_ctx\":1}}", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, time.Millisecond, nil)
			p := pipelines.Pipeline{Name: "x", File: "pipelines/x.yaml",
				Validate: c.validate, Request: c.request, Result: c.result}
			if p.Request == "" {
				p.Request = "root.prompt = this.city"
			}
			if p.Result == "" {
				p.Result = "root.x = this.answer"
			}
			r.load("city-a", message("city-a"))
			r.start("worker-a", p)
			r.settled()
			dead, answered := r.dead()["city-a"]
			if _, ok := r.results()["city-a"]; ok != (c.dead == "") {
				t.Errorf("results = %v, dead = %v", r.results(), dead)
			}
			if answered != (c.dead != "") || !strings.HasPrefix(dead, c.dead) {
				t.Errorf("dead = %q, want %q", dead, c.dead)
			}
			for _, request := range r.model.requests["city-a"] {
				if request.Model != "qwen2.5:0.5b" || *request.Stream || request.KeepAlive != -1 || request.Options["num_ctx"] != nil {
					t.Errorf("request = %+v", request)
				}
			}
		})
	}
}

const forge = `meta redis_stream = "1-1"
meta message_id = "z"
meta fault = "poison"
meta step = "x"
meta message = "{}"`

func TestSentimentIsHeldToItsSchema(t *testing.T) {
	said := func(answer string) misdeed {
		text, _ := json.Marshal(map[string]any{"response": answer, "done": true})
		return reply(string(text))
	}
	r := newRig(t, time.Millisecond, map[string][]misdeed{
		"city-good":  {said(`{"sentiment":"positive","confidence":0.9}`)},
		"city-again": {said(`{"sentiment":"furious","confidence":0.9}`), said(`{"sentiment":"neg`), said(`{"sentiment":"negative","confidence":1}`)},
		"city-odd":   repeat(said(`{"sentiment":"positive","confidence":7}`), 9),
	})
	review := func(text string) string { return fmt.Sprintf(`{"review":%q}`, text) }
	r.load("good", review("I like city-good"), "again", review("city-again was awful"), "odd", review("city-odd"),
		"none", `{}`, "number", `{"review":3}`, "long", review(strings.Repeat("x", 4001)))
	r.start("worker-a", load(t, ".", "sentiment"))
	r.settled()
	results := r.results()
	if len(results) != 2 || string(results["good"].Result) != `{"confidence":0.9,"sentiment":"positive"}` ||
		string(results["again"].Result) != `{"confidence":1,"sentiment":"negative"}` || results["again"].Attempts != 3 {
		t.Errorf("results = %v", results)
	}
	want := map[string]string{
		"odd":    `result: the answer is not a sentiment with its confidence: {"sentiment":"positive","confidence":7} (3)`,
		"none":   "validate: no review in the message (1)",
		"number": "validate: the review is not text (1)",
		"long":   "validate: the review is longer than 4000 characters (1)",
	}
	if got := r.dead(); !maps.Equal(got, want) {
		t.Errorf("dead = %v, want %v", got, want)
	}
	if format := r.model.requests["city-good"][0].Format; format["type"] != "object" {
		t.Errorf("format = %v, want a JSON schema", format)
	}
}

func TestListModeAnswersWhatItCan(t *testing.T) {
	r := newRig(t, time.Millisecond, map[string][]misdeed{"city-bad": repeat(status(400), 9)})
	r.settings.Mode = pipelines.List
	refused := []string{
		message("city-bare"), "not JSON", `{"id":7,"body":{}}`, `{"id":"","body":{}}`, `{"id":"text","body":"x"}`, `[]`,
	}
	elements := append([]string{
		`{"id":"a","body":` + message("city-a") + `}`,
		`{"id":"bad","body":` + message("city-bad") + `}`,
		`{"id":"b","body":{"id":"not this one","city":"city-b","country":"Nowhere"}}`,
	}, refused...)
	if err := r.redis.RPush(ctx, r.settings.Queue.Jobs, anys(elements)...).Err(); err != nil {
		t.Fatal(err)
	}
	w := r.start("worker-a", load(t, ".", "mayors"))
	r.eventually("all but two are lost", func() bool {
		return len(r.results()) == 2 && strings.Count(w.log.text(), "is lost: ") == len(elements)-2
	})
	if err := r.stop(w, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	results := r.results()
	if want := `{"city":"city-b","country":"Nowhere","mayor":"Mayor of city-b"}`; string(results["b"].Result) != want || results["a"].ID != "a" {
		t.Errorf("results = %v", results)
	}
	var log string // what the worker said, free of JSON's escapes
	for line := range strings.Lines(w.log.text()) {
		var entry struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err == nil {
			log += entry.Msg + "\n"
		}
	}
	for _, element := range refused {
		if !strings.Contains(log, `not an envelope {"id": text, "body": object}: `+element) {
			t.Errorf("the log does not speak of %s:\n%s", element, log)
		}
	}
	if !strings.Contains(log, "message bad is lost") {
		t.Errorf("the log does not speak of what was lost:\n%s", log)
	}
}
