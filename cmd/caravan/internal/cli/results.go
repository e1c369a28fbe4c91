package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"caravan.dev/caravan/cmd/caravan/internal/view"
)

type resultsOptions struct {
	format, out string
	ids         []string
	delete, yes bool
}

func (a *app) resultsCommand() *cobra.Command {
	var options resultsOptions
	command := &cobra.Command{
		Use:   "results",
		Short: "Write the results as JSONL or CSV",
		Long: `Results writes one line per result, in no particular order. Results stay in the
queue and can be fetched again, unless --delete takes them out for good: it
deletes what it has written to the file of --out, which must be a new one. That
makes room in Redis. An id whose result is deleted is not known any more: loading
its row again has it answered again, and a "load --wait" that follows it takes it
for dead.

CSV has a column for each field of any result: id first, the others sorted; fields
within fields are joined by dots (result.mayor), lists are written as JSON.
--output json is JSONL.`,
		Example: `  caravan results > answers.jsonl
  caravan results --format csv --out answers.csv
  caravan results --out answers-1.jsonl --delete
  caravan results --id 42 --id 43 | jq .result`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if options.format != "jsonl" && options.format != "csv" {
				return usageError("--format %q: use jsonl or csv", options.format)
			}
			if options.format == "csv" && a.output == outputJSON {
				return usageError("--format csv and --output json exclude each other")
			}
			if err := a.checkDelete(options); err != nil {
				return err
			}
			return a.results(command.Context(), options)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.format, "format", "jsonl", "jsonl or csv")
	flags.StringVar(&options.out, "out", "", "write to this file (default: standard output)")
	flags.BoolVar(&options.delete, "delete", false, "with --out: delete from the queue what was written to the file")
	flags.BoolVar(&options.yes, "yes", false, "with --delete: do not ask")
	flags.StringArrayVar(&options.ids, "id", nil, "only the result of this id; may be repeated")
	return command
}

// checkDelete refuses to delete what would then be nowhere. An existing file may
// hold results that were deleted before.
func (a *app) checkDelete(options resultsOptions) error {
	switch {
	case !options.delete && options.yes:
		return usageError("--yes goes with --delete")
	case !options.delete:
		return nil
	case options.out == "":
		return usageError("--delete needs --out: only what is in a file is deleted")
	}
	if _, err := os.Lstat(a.path(options.out)); err == nil {
		return usageError("--out %s: it exists, and may hold results that are nowhere else; with --delete, name a new file", options.out)
	}
	if options.yes {
		return nil
	}
	return a.canAsk()
}

func (a *app) results(ctx context.Context, options resultsOptions) error {
	t, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	var written []string
	var missing []string
	write := func(w io.Writer) error {
		each := func(visit func(id, text string) error) error {
			counted := func(id, text string) error { written = append(written, id); return visit(id, text) }
			if len(options.ids) == 0 {
				return t.queue.Results(ctx, counted)
			}
			missing, err = t.resultsOf(ctx, options.ids, counted)
			return err
		}
		if options.format == "csv" {
			return writeResultsCSV(w, each)
		}
		return writeResultsJSONL(w, each)
	}
	if options.out == "" {
		err = buffered(a.Out, write)
	} else if err = a.intoFile(options.out, write); err == nil {
		a.sayf("%s written to %s", view.Plural(len(written), "result", "results"), options.out)
	}
	if err == nil && options.delete {
		err = a.deleteResults(ctx, t, written, options)
	}
	if err == nil && len(missing) > 0 {
		return fmt.Errorf("no result for %s; it may be outstanding or a dead letter (`caravan dead list`)", strings.Join(missing, ", "))
	}
	return err
}

// deleteResults deletes what is safe in the file.
func (a *app) deleteResults(ctx context.Context, t *target, ids []string, options resultsOptions) error {
	if !options.yes && len(ids) > 0 {
		if err := a.confirm(fmt.Sprintf("Delete %s from %s?", view.Plural(len(ids), "result", "results"), t.title())); err != nil {
			return fmt.Errorf("%w; %s stays", err, options.out)
		}
	}
	deleted, err := t.queue.DeleteResults(ctx, ids)
	a.sayf("%s deleted from %s", view.Plural(deleted, "result", "results"), t.title())
	if err != nil {
		return fmt.Errorf("%w; all are in %s, so run the command again with a new file to delete the rest", err, options.out)
	}
	return nil
}

// resultsOf visits the results of ids and returns the ids that have none.
func (t *target) resultsOf(ctx context.Context, ids []string, visit func(id, text string) error) (missing []string, err error) {
	texts, err := t.queue.ResultsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i, text := range texts {
		if text == "" {
			missing = append(missing, ids[i])
		} else if err := visit(ids[i], text); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// buffered writes through a buffer.
func buffered(w io.Writer, write func(io.Writer) error) error {
	buffer := bufio.NewWriterSize(w, 256*1024)
	return errors.Join(write(buffer), buffer.Flush())
}

// intoFile writes a file that appears only when it is complete.
func (a *app) intoFile(name string, write func(io.Writer) error) (err error) {
	name = a.path(name)
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("creating %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) // the error at hand matters more
		}
	}()
	if err := errors.Join(buffered(file, write), file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return os.Rename(file.Name(), name)
}

// each visits results.
type each func(visit func(id, text string) error) error

func writeResultsJSONL(w io.Writer, each each) error {
	var line bytes.Buffer
	return each(func(id, text string) error {
		line.Reset()
		if err := json.Compact(&line, []byte(text)); err != nil {
			return fmt.Errorf("the result of id %s is not JSON: %w", id, err)
		}
		line.WriteByte('\n')
		_, err := w.Write(line.Bytes())
		return err
	})
}

// writeResultsCSV collects all results before it writes: the header is the
// union of their fields.
func writeResultsCSV(w io.Writer, each each) error {
	var rows []map[string]string
	columns := map[string]bool{}
	err := each(func(id, text string) error {
		var result map[string]any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&result); err != nil {
			return fmt.Errorf("the result of id %s is not a JSON object: %w", id, err)
		}
		row := map[string]string{}
		if err := flatten(row, "", result); err != nil {
			return fmt.Errorf("the result of id %s: %w", id, err)
		}
		row["id"] = id
		for column := range row {
			columns[column] = true
		}
		rows = append(rows, row)
		return nil
	})
	if err != nil {
		return err
	}
	delete(columns, "id")
	header := append([]string{"id"}, slices.Sorted(maps.Keys(columns))...)
	out := csv.NewWriter(w)
	records := [][]string{header}
	for _, row := range rows {
		record := make([]string, len(header))
		for column, name := range header {
			record[column] = row[name]
		}
		records = append(records, record)
	}
	if err := out.WriteAll(records); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// flatten writes the fields of value into row, nested ones by their path.
func flatten(row map[string]string, path string, value any) error {
	switch value := value.(type) {
	case map[string]any:
		for name, field := range value {
			inner := name
			if path != "" {
				inner = path + "." + name
			}
			if err := flatten(row, inner, field); err != nil {
				return err
			}
		}
	case nil:
		row[path] = ""
	case string:
		row[path] = value
	case json.Number:
		row[path] = value.String()
	default: // lists and booleans
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("field %s: %w", path, err)
		}
		row[path] = string(text)
	}
	return nil
}
