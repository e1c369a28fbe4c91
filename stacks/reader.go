package stacks

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// most bounds every integer, so that no product of them can overflow.
const most = 1_000_000

// reader takes typed values out of a config and notes what is not of its type.
type reader struct {
	values map[string]string
	faults Faults
}

func (r *reader) text(key string) string {
	return r.values[key]
}

// count reads an integer from 0 to most.
func (r *reader) count(key string) int {
	text := r.values[key]
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		r.faults.add(key, show(text), "is no integer", "write a whole number")
	case n < 0:
		r.faults.add(key, text, "is negative", "write 0 or more")
	case n > most:
		r.faults.add(key, text, fmt.Sprintf("is above %d", most), "write a smaller number")
	default:
		return n
	}
	return 0
}

func (r *reader) boolean(key string) bool {
	text := r.values[key]
	if text != "true" && text != "false" {
		r.faults.add(key, show(text), "is no boolean", "write true or false")
	}
	return text == "true"
}

// list reads a JSON array of strings.
func (r *reader) list(key string) []string {
	var items []string
	if err := json.Unmarshal([]byte(r.values[key]), &items); err != nil {
		r.faults.add(key, show(r.values[key]), "is no list of texts", "write one as in YAML: [c7i.xlarge, c7a.xlarge]")
		return nil
	}
	return items
}

// duration reads a Go duration that is not negative.
func (r *reader) duration(key string) time.Duration {
	text := r.values[key]
	d, err := time.ParseDuration(text)
	if err != nil {
		r.faults.add(key, show(text), "is no duration", "write one like 90s, 5m or 1h30m")
		return 0
	}
	if d < 0 {
		r.faults.add(key, text, "is negative", "write a duration of 0s or more")
		return 0
	}
	return d
}

// seconds reads a decimal number of seconds; an empty text is 0.
func (r *reader) seconds(key string) time.Duration {
	text := r.values[key]
	if text == "" {
		return 0
	}
	n, err := strconv.ParseFloat(text, 64)
	// The comparisons are false for NaN, which ParseFloat accepts.
	if err != nil || !(n >= 0.001 && n <= most) {
		r.faults.add(key, show(text), fmt.Sprintf("is no number of seconds from 0.001 to %d", most), "write one like 0.4 or 12")
		return 0
	}
	return time.Duration(n * float64(time.Second))
}

// quantity reads an amount of memory or storage; an empty text is 0.
func (r *reader) quantity(key string) resource.Quantity {
	text := r.values[key]
	if text == "" {
		return resource.Quantity{}
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		r.faults.add(key, show(text), "is no quantity", "write one like 512Mi or 10Gi")
		return resource.Quantity{}
	}
	if q.CmpInt64(mebi) < 0 {
		r.faults.add(key, show(text), "is less than 1Mi", "write one like 512Mi or 10Gi")
		return resource.Quantity{}
	}
	return q
}

// closed reads a value of a closed type.
func closed[T ~string](r *reader, key string, parse func(string) (T, error)) T {
	v, err := parse(r.values[key])
	var not *NotAllowed
	if errors.As(err, &not) {
		r.faults.add(key, show(not.Text), "is no "+not.Type, "use "+either(not.Allowed))
	}
	return v
}
