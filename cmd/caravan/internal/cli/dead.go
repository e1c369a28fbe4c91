package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"caravan.dev/caravan/cmd/caravan/internal/queue"
	"caravan.dev/caravan/cmd/caravan/internal/view"
	"caravan.dev/caravan/contract"
)

func (a *app) deadCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "dead",
		Short: "List, replay or purge dead letters",
		Long: `A dead letter is a message that was given up: it can never be answered, or has
failed too often. It keeps its body and the reason.`,
		Example: `  caravan dead list
  caravan dead replay --all
  caravan dead purge --id 42 --save gone.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(a.deadListCommand(), a.deadReplayCommand(), a.deadPurgeCommand())
	return command
}

// selection is which dead letters a command is about.
type selection struct {
	ids []string
	all bool
}

func (s *selection) addFlags(command *cobra.Command, verb string) {
	command.Flags().StringArrayVar(&s.ids, "id", nil, verb+" the dead letters of this message id; may be repeated")
	command.Flags().BoolVar(&s.all, "all", false, verb+" all dead letters")
}

func (s *selection) check() error {
	if s.all == (len(s.ids) > 0) {
		return usageError("say which dead letters: --id (may be repeated) or --all")
	}
	return nil
}

// pick reads the dead letters selected; an id without any is an error.
func (s *selection) pick(ctx context.Context, q *queue.Queue) ([]queue.DeadLetter, error) {
	letters, err := q.DeadLetters(ctx)
	if err != nil || s.all {
		return letters, err
	}
	found := map[string]bool{}
	letters = slices.DeleteFunc(letters, func(l queue.DeadLetter) bool {
		found[l.ID] = true
		return !slices.Contains(s.ids, l.ID)
	})
	for _, id := range s.ids {
		if !found[id] {
			return nil, fmt.Errorf("no dead letter has the id %q; `caravan dead list` shows them", id)
		}
	}
	return letters, nil
}

func entries(letters []queue.DeadLetter) []string {
	ids := make([]string, len(letters))
	for i, letter := range letters {
		ids[i] = letter.Entry
	}
	return ids
}

func (a *app) deadListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the dead letters with their reason",
		Long: `List shows the dead letters, oldest first. ANSWERED says whether the id has a
result by now: its row was loaded again. Such a letter can be purged.`,
		Example: `  caravan dead list
  caravan dead list --output json | jq -r '.[] | select(.answered | not).body'`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return a.deadList(command.Context()) },
	}
}

// listedLetter is a dead letter in the list.
type listedLetter struct {
	queue.DeadLetter
	// Answered: its id has a result by now.
	Answered bool `json:"answered"`
}

// listed reads the dead letters and looks for results of their ids.
func (t *target) listed(ctx context.Context) ([]listedLetter, error) {
	letters, err := t.queue.DeadLetters(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(letters))
	for i, letter := range letters {
		ids[i] = letter.ID
	}
	outcomes, err := t.queue.Outcomes(ctx, ids)
	if err != nil {
		return nil, err
	}
	listed := make([]listedLetter, len(letters))
	for i, letter := range letters {
		listed[i] = listedLetter{letter, outcomes[i] == queue.Done}
	}
	return listed, nil
}

func (a *app) deadList(ctx context.Context) error {
	t, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	letters, err := t.listed(ctx)
	if err != nil {
		return err
	}
	if a.output == outputJSON {
		return writeJSON(a.Out, letters, "  ")
	}
	if len(letters) == 0 {
		a.sayf("no dead letters in %s", t.title())
		return nil
	}
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tREASON\tATTEMPTS\tWORKER\tAGE\tANSWERED") // the table's Flush reports
	for _, l := range letters {
		answered := "no"
		if l.Answered {
			answered = "yes"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", view.OneLine(l.ID), view.Clip(view.OneLine(l.Reason), 72), l.Attempts, l.Worker, view.Span(a.Now().Sub(l.At)), answered)
	}
	return table.Flush()
}

func (a *app) deadReplayCommand() *cobra.Command {
	var chosen selection
	var from string
	command := &cobra.Command{
		Use:   "replay",
		Short: "Make dead letters messages again",
		Long: `Replay puts dead letters back into the queue with no attempts counted: do it when
what killed them is mended. --from brings back what "dead purge --save" kept.`,
		Example: `  caravan dead replay --id 42
  caravan dead replay --all
  caravan dead replay --from gone.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if from != "" && (chosen.all || len(chosen.ids) > 0) {
				return usageError("--from excludes --id and --all")
			}
			if from != "" {
				return a.restore(command.Context(), from)
			}
			if err := chosen.check(); err != nil {
				return err
			}
			return a.deadReplay(command.Context(), chosen)
		},
	}
	chosen.addFlags(command, "replay")
	command.Flags().StringVar(&from, "from", "", `replay the dead letters that "dead purge --save" wrote to this file`)
	return command
}

// replayReport says what became of the dead letters, by status.
type replayReport struct {
	Replayed int `json:"replayed"`
	// AlreadyDone have a result by now; their dead letters are deleted.
	AlreadyDone int `json:"alreadyDone"`
	// Outstanding are in the queue again under the same id; their dead letters stay.
	Outstanding int `json:"outstanding"`
	// Gone were replayed or purged by somebody else meanwhile.
	Gone int `json:"gone"`
}

func (r *replayReport) count(statuses []contract.Status) error {
	for _, status := range statuses {
		switch status {
		case contract.Replayed, contract.Loaded:
			r.Replayed++
		case contract.Done:
			r.AlreadyDone++
		case contract.Outstanding:
			r.Outstanding++
		case contract.Gone:
			r.Gone++
		default:
			return fmt.Errorf("replaying: redis answered %q, which this version does not know", status)
		}
	}
	return nil
}

func (a *app) tellReplay(r replayReport) error {
	if a.output == outputJSON {
		return writeJSON(a.Out, r, "  ")
	}
	text := view.Number(r.Replayed) + " replayed"
	if r.AlreadyDone > 0 {
		text += ", " + view.Number(r.AlreadyDone) + " already done"
	}
	if r.Outstanding > 0 {
		text += ", " + view.Number(r.Outstanding) + " already in the queue"
	}
	if r.Gone > 0 {
		text += ", " + view.Number(r.Gone) + " gone meanwhile"
	}
	_, err := fmt.Fprintln(a.Out, text)
	return err
}

func (a *app) deadReplay(ctx context.Context, chosen selection) error {
	t, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	if t.queue.Mode() == queue.List {
		return errListMode
	}
	letters, err := chosen.pick(ctx, t.queue)
	if err != nil {
		return err
	}
	statuses, replayErr := t.queue.Replay(ctx, entries(letters))
	var report replayReport
	return errors.Join(replayErr, report.count(statuses), a.tellReplay(report))
}

// restore loads saved dead letters as messages.
func (a *app) restore(ctx context.Context, file string) error {
	letters, err := a.readSaved(file)
	if err != nil {
		return err
	}
	t, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	var report replayReport
	for batch := range slices.Chunk(letters, queue.BatchSize) {
		messages := make([]queue.Message, len(batch))
		for i, letter := range batch {
			messages[i] = queue.Message{ID: letter.ID, Body: []byte(letter.Body)}
		}
		statuses, err := t.queue.Load(ctx, messages)
		if err := errors.Join(err, report.count(statuses)); err != nil {
			return errors.Join(err, a.tellReplay(report))
		}
	}
	return a.tellReplay(report)
}

// readSaved reads what save wrote; a line that is anything else is an error,
// before any is loaded.
func (a *app) readSaved(name string) ([]queue.DeadLetter, error) {
	file, err := a.openInput(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var letters []queue.DeadLetter
	in := bufio.NewReader(file)
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n')
		if text := bytes.TrimSpace(line); len(text) > 0 {
			var letter queue.DeadLetter
			if err := json.Unmarshal(text, &letter); err != nil || letter.ID == "" || letter.Body == "" {
				return nil, fmt.Errorf("%s:%d: not a dead letter as `caravan dead purge --save` writes it", name, number)
			}
			letters = append(letters, letter)
		}
		if errors.Is(err, io.EOF) {
			return letters, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
}

type purgeOptions struct {
	selection
	yes  bool
	save string
}

func (a *app) deadPurgeCommand() *cobra.Command {
	var options purgeOptions
	command := &cobra.Command{
		Use:   "purge",
		Short: "Delete dead letters for good",
		Long: `Purge deletes dead letters. --all asks first, unless --yes is given. --save keeps
them in a file, from which "dead replay --from" brings them back.`,
		Example: `  caravan dead purge --id 42
  caravan dead purge --all --yes --save gone.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.check(); err != nil {
				return err
			}
			return a.deadPurge(command.Context(), options)
		},
	}
	options.addFlags(command, "delete")
	command.Flags().BoolVar(&options.yes, "yes", false, "do not ask")
	command.Flags().StringVar(&options.save, "save", "", "write them to this file first (JSONL)")
	return command
}

// purgeReport says what was deleted.
type purgeReport struct {
	Purged int `json:"purged"`
	// Saved is the file that keeps them.
	Saved string `json:"saved,omitempty"`
}

func (a *app) deadPurge(ctx context.Context, options purgeOptions) error {
	t, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	letters, err := options.pick(ctx, t.queue)
	if err != nil {
		return err
	}
	if options.all && !options.yes && len(letters) > 0 {
		if err := a.confirm(fmt.Sprintf("Delete %s of %s?", view.Plural(len(letters), "dead letter", "dead letters"), t.title())); err != nil {
			return err
		}
	}
	if options.save != "" {
		if err := a.intoFile(options.save, func(w io.Writer) error { return save(w, letters) }); err != nil {
			return err
		}
	}
	report := purgeReport{Saved: options.save}
	report.Purged, err = t.queue.Purge(ctx, entries(letters))
	if err != nil {
		return err
	}
	if a.output == outputJSON {
		return writeJSON(a.Out, report, "  ")
	}
	text := view.Number(report.Purged) + " purged"
	if options.save != "" {
		text += ", saved in " + options.save
	}
	_, err = fmt.Fprintln(a.Out, text)
	return err
}

func save(w io.Writer, letters []queue.DeadLetter) error {
	for _, letter := range letters {
		if err := writeJSON(w, letter, ""); err != nil {
			return err
		}
	}
	return nil
}

// canAsk is an error when there is no person in front.
func (a *app) canAsk() error {
	if file, ok := a.In.(*os.File); ok && !term.IsTerminal(int(file.Fd())) {
		return usageError("this deletes for good and nobody can be asked: give --yes")
	}
	return nil
}

// confirm asks the person in front; it is an error when there is none or the answer is not yes.
func (a *app) confirm(question string) error {
	if err := a.canAsk(); err != nil {
		return err
	}
	_, _ = fmt.Fprint(a.Err, question+" [y/N] ")
	answer, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was deleted")
	}
	return nil
}
