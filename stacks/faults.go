package stacks

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a stack's config.
type Fault struct {
	// Key is the config key without the project's namespace.
	Key string
	// Value is the value in question as it is shown; empty shows none.
	Value string
	// Reason says what is wrong with it, Mend what to do.
	Reason, Mend string
}

// String is the fault on one line: key, value, reason and mend.
func (f Fault) String() string {
	value := f.Value
	if value != "" {
		value += " "
	}
	return fmt.Sprintf("%s: %s%s; %s", f.Key, value, f.Reason, f.Mend)
}

// Faults is everything that is wrong with a stack's config, one fault a key at
// most, in the order of Keys.
type Faults []Fault

// Error counts the faults and lists them, a line each.
func (fs Faults) Error() string {
	noun := "faults"
	if len(fs) == 1 {
		noun = "fault"
	}
	lines := []string{fmt.Sprintf("%d %s", len(fs), noun)}
	for _, f := range fs {
		lines = append(lines, "  "+f.String())
	}
	return strings.Join(lines, "\n")
}

// add notes a fault unless its key has one already: what follows from a value
// that is wrong in itself would only distract.
func (fs *Faults) add(key, value, reason, mend string) {
	for _, f := range *fs {
		if f.Key == key {
			return
		}
	}
	*fs = append(*fs, Fault{Key: key, Value: value, Reason: reason, Mend: mend})
}

// sorted is the faults in the order of Keys, unknown keys last by name.
func (fs Faults) sorted() Faults {
	out := slices.Clone(fs)
	slices.SortStableFunc(out, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(keyRank(a.Key), keyRank(b.Key)), cmp.Compare(a.Key, b.Key))
	})
	return out
}

var bareValue = regexp.MustCompile(`^-?[0-9][0-9A-Za-z.]*$`)

// show makes a config text readable within a sentence: numbers with their
// units stay as they are, everything else is quoted.
func show(text string) string {
	if bareValue.MatchString(text) {
		return text
	}
	return fmt.Sprintf("%q", text)
}

// either joins names to "a, b or c".
func either[T ~string](names []T) string {
	text := make([]string, len(names))
	for i, n := range names {
		text[i] = string(n)
	}
	if len(text) < 2 {
		return strings.Join(text, "")
	}
	last := len(text) - 1
	return strings.Join(text[:last], ", ") + " or " + text[last]
}

// meant is the mend of a name that does not exist.
func meant(name string, known []string, otherwise string) string {
	if near := nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	return otherwise
}

// nearest is the known name that takes the fewest edits to reach from name, or
// "" when so many would be needed that it was hardly meant.
func nearest(name string, known []string) string {
	best, fewest := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := edits(strings.ToLower(name), strings.ToLower(k)); d < fewest {
			best, fewest = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance between two texts, in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
