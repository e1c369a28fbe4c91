package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"caravan.dev/caravan/cmd/caravan/internal/queue"
	"caravan.dev/caravan/cmd/caravan/internal/records"
	"caravan.dev/caravan/cmd/caravan/internal/view"
	"caravan.dev/caravan/contract"
)

const (
	// faultsShown is how many malformed rows are reported one by one.
	faultsShown = 20
	// hopeless is how many malformed rows at the beginning, with no good one among them, show a file of another kind.
	hopeless = 100
)

const loadHelp = `Load adds every row of a file to the queue as one message. FILE is CSV (a header
row names the fields; all values are strings) or JSONL (one JSON object per line),
by its ending or by --format; "-" is standard input.

A row is known by its field "id", or by --id-field. A row whose id is in the queue
or has a result is left out, so the same file can be loaded again at any time.
One whose message died becomes a new message; the old dead letter stays until it
is purged. One whose result was deleted is not known any more and is loaded again.
Rows without the field "id" get a random id; loading them again loads them twice.

Loading stops when 60 % of Redis's memory is used: the rest is kept for results
and for what is in hand. The same command can be run again later to load the rest.
Results make room only when they are deleted: caravan results --out FILE --delete.

Malformed rows are reported with their line number and left out (exit code 3).
--wait follows the rows of the file until each is done or dead, those included
that were loaded before; it exits with 0 only when all are done.`

type loadOptions struct {
	file, format, idField string
	count                 int
	wait                  bool
	timeout, interval     time.Duration
}

// loadReport is the outcome of a load, and its JSON form.
type loadReport struct {
	File string `json:"file"`
	// Rows is how many were read; each of them is counted in one of the next five.
	Rows        int `json:"rows"`
	Loaded      int `json:"loaded"`
	Outstanding int `json:"outstanding"`
	AlreadyDone int `json:"alreadyDone"`
	Repeated    int `json:"repeated"`
	Malformed   int `json:"malformed"`
	// RandomIDs is how many of the rows had no id of their own.
	RandomIDs int     `json:"randomIds"`
	Faults    []fault `json:"faults,omitempty"`
	// Wait is what --wait saw.
	Wait *waitReport `json:"wait,omitempty"`
}

// fault is one malformed row; the first faultsShown are kept.
type fault struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

func (a *app) loadCommand() *cobra.Command {
	var options loadOptions
	command := &cobra.Command{
		Use:   "load FILE",
		Short: "Add the rows of a CSV or JSONL file to the queue",
		Long:  loadHelp,
		Example: `  caravan load data/cities.csv
  caravan load data/cities.csv --count 1000 --wait --timeout 1h
  caravan load people.csv --id-field email
  zcat big.jsonl.gz | caravan load - --format jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			options.file = args[0]
			return a.load(command.Context(), options)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.format, "format", "", "csv or jsonl (default: by the file's ending)")
	flags.StringVar(&options.idField, "id-field", "", `field that identifies a row (default "id", where there is one)`)
	flags.IntVar(&options.count, "count", 0, "load the first N rows only (default: all)")
	flags.BoolVar(&options.wait, "wait", false, "follow until every row is done or dead")
	flags.DurationVar(&options.timeout, "timeout", 0, "give up --wait after this long (default: never)")
	flags.DurationVar(&options.interval, "interval", time.Second, "how often --wait looks")
	return command
}

func (a *app) load(ctx context.Context, options loadOptions) error {
	if options.count < 0 || options.timeout < 0 || options.interval <= 0 {
		return usageError("--count and --timeout must not be negative, --interval must be positive")
	}
	format, err := records.ParseFormat(options.format, options.file)
	if err != nil {
		return usageError("%w", err)
	}
	in, err := a.openInput(options.file)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	reader, err := records.NewReader(in, format, options.idField)
	if err != nil {
		return fmt.Errorf("%s cannot be loaded: %w", options.file, err)
	}
	t, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	if options.wait && t.queue.Mode() == queue.List {
		return fmt.Errorf("--wait: %w", errListMode)
	}
	l := &loader{app: a, target: t, options: options, reader: reader, seen: map[string]bool{}, started: a.Now()}
	l.report.File = options.file
	return l.run(ctx)
}

func (a *app) openInput(file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(a.In), nil
	}
	in, err := os.Open(a.path(file))
	if err != nil {
		return nil, fmt.Errorf("opening the file to load: %w", err)
	}
	return in, nil
}

// path is where a file that the user named lies.
func (a *app) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.Dir, name)
}

// loader carries one load through.
type loader struct {
	*app
	target  *target
	options loadOptions
	reader  *records.Reader
	started time.Time

	report loadReport
	// ids are those of all good rows, in order; seen holds the same.
	ids  []string
	seen map[string]bool
	// batch waits for the next round trip.
	batch []queue.Message
}

func (l *loader) run(ctx context.Context) error {
	duplicates, err := l.duplicates(ctx)
	if err != nil {
		return err
	}
	loadErr := l.addAll(ctx)
	l.clearProgress()
	if l.report.Malformed > faultsShown {
		l.sayf("… and %s malformed", view.Plural(l.report.Malformed-faultsShown, "more row is", "more rows are"))
	}
	if loadErr != nil && l.report.Rows == l.report.Malformed {
		return loadErr // refused: nothing was loaded
	}
	l.tell()
	if loadErr != nil {
		return errors.Join(l.finish(), l.stopped(ctx, loadErr))
	}
	if !l.options.wait {
		return l.verdict(l.finish(), nil)
	}
	waitErr := l.follow(ctx, duplicates)
	return l.verdict(l.finish(), waitErr)
}

// duplicates is the counter before the load, which --wait compares with.
func (l *loader) duplicates(ctx context.Context) (int64, error) {
	if !l.options.wait {
		return 0, nil
	}
	stats, err := l.target.queue.Stats(ctx)
	return stats[contract.StatDuplicate], err
}

// addAll reads rows and adds them batch by batch.
func (l *loader) addAll(ctx context.Context) error {
	for l.options.count == 0 || l.report.Rows < l.options.count {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := l.reader.Next()
		var malformed *records.Fault
		switch {
		case errors.Is(err, io.EOF):
			return l.end(ctx)
		case errors.As(err, &malformed):
			if err := l.leaveOut(malformed); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("reading %s: %w", l.options.file, err)
		}
		l.report.Rows++
		if l.seen[row.ID] {
			l.report.Repeated++
			continue
		}
		l.take(row)
		if len(l.batch) == queue.BatchSize {
			if err := l.flush(ctx); err != nil {
				return err
			}
		}
	}
	return l.end(ctx)
}

func (l *loader) take(row records.Row) {
	l.seen[row.ID] = true
	l.ids = append(l.ids, row.ID)
	if row.RandomID {
		l.report.RandomIDs++
	}
	l.batch = append(l.batch, queue.Message{ID: row.ID, Body: row.Body})
}

// leaveOut reports a malformed row, and refuses the file when there is nothing else in it.
func (l *loader) leaveOut(malformed *records.Fault) error {
	l.report.Rows++
	l.report.Malformed++
	if l.report.Malformed <= faultsShown {
		l.clearProgress()
		l.sayf("%s:%d: %s", l.options.file, malformed.Line, malformed.Reason)
		l.report.Faults = append(l.report.Faults, fault{malformed.Line, malformed.Reason})
	}
	if l.report.Malformed == hopeless && l.report.Rows == hopeless {
		return fmt.Errorf("%s cannot be loaded: its first %d rows are all malformed; is it of another format?", l.options.file, hopeless)
	}
	return nil
}

func (l *loader) end(ctx context.Context) error {
	if l.report.Rows > 0 && l.report.Rows == l.report.Malformed {
		return fmt.Errorf("%s cannot be loaded: no row is well-formed; is it of another format?", l.options.file)
	}
	return l.flush(ctx)
}

// flush sends the batch and counts what became of it.
func (l *loader) flush(ctx context.Context) error {
	if len(l.batch) == 0 {
		return nil
	}
	statuses, err := l.target.queue.Load(ctx, l.batch)
	for _, status := range statuses {
		switch status {
		case contract.Loaded:
			l.report.Loaded++
		case contract.Outstanding:
			l.report.Outstanding++
		case contract.Done:
			l.report.AlreadyDone++
		default:
			return fmt.Errorf("loading: redis answered %q, which this version does not know", status)
		}
	}
	l.batch = l.batch[:0]
	if width := terminalWidth(l.Err); width > 0 {
		l.progress(view.Clip("loading: "+view.Number(l.report.Rows)+" rows", width))
	}
	return err
}

// tell writes what was loaded, and what to know about it.
func (l *loader) tell() {
	if l.report.RandomIDs > 0 {
		l.sayf("%s no field %q and got a random id: loading the file again would load them twice; name a field with --id-field",
			view.Plural(l.report.RandomIDs, "row has", "rows have"), records.DefaultIDField)
	}
	if l.output == outputJSON {
		return
	}
	parts := []string{view.Number(l.report.Loaded) + " loaded into " + l.target.title()}
	for _, part := range []struct {
		count int
		what  string
	}{
		{l.report.Outstanding, "already in the queue"},
		{l.report.AlreadyDone, "already done"},
		{l.report.Repeated, "repeated in the file"},
		{l.report.Malformed, "malformed"},
	} {
		if part.count > 0 {
			parts = append(parts, view.Number(part.count)+" "+part.what)
		}
	}
	_, _ = fmt.Fprintln(l.Out, strings.Join(parts, ", "))
}

// stopped explains why a load ended early and whether it can simply be run again.
func (l *loader) stopped(ctx context.Context, err error) error {
	again := "run the same command again to load the rest; rows that are in are left out by their id"
	if l.report.RandomIDs > 0 {
		again = "to load the rest without doubles, take the rows that are in out of the file: they have no ids"
	}
	loaded := view.Plural(l.report.Loaded, "message is", "messages are")
	switch {
	case errors.Is(err, queue.ErrFull):
		return fmt.Errorf("redis is full: %s loaded. Nothing is lost; later, %s. Results make room only when they are deleted: "+
			"`caravan results --out FILE --delete`, but their rows are not known by their id then, so take them out of the file too; "+
			"or raise queue.maxMemory: %w", loaded, again, err)
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, fmt.Errorf("interrupted: %s loaded; %s", loaded, again)}
	}
	return fmt.Errorf("%s loaded, then: %w; %s", loaded, err, again)
}

// finish writes the report for programs.
func (l *loader) finish() error {
	if l.output != outputJSON {
		return nil
	}
	return writeJSON(l.Out, l.report, "  ")
}

// verdict turns the report into the exit code; the worst counts.
func (l *loader) verdict(outputErr, waitErr error) error {
	switch {
	case outputErr != nil || waitErr != nil:
		return errors.Join(outputErr, waitErr)
	case l.report.Wait != nil && l.report.Wait.Dead > 0:
		return &exitError{exitDead, fmt.Errorf("%s: `caravan dead list` says why",
			view.Plural(l.report.Wait.Dead, "message became a dead letter", "messages became dead letters"))}
	case l.report.Malformed > 0:
		return &exitError{exitMalformed, fmt.Errorf("%s left out", view.Plural(l.report.Malformed, "malformed row was", "malformed rows were"))}
	}
	return nil
}

// progress redraws the line that shows how far things are; clearProgress removes it.
func (l *loader) progress(line string) { _, _ = fmt.Fprint(l.Err, "\r\x1b[K"+line) }

func (l *loader) clearProgress() {
	if terminalWidth(l.Err) > 0 {
		l.progress("")
	}
}
