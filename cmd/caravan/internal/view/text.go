// Package view turns state into text. Its functions are pure; widths are in
// terminal cells.
package view

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Number writes a count with its thousands apart: 1,234,567.
func Number[N ~int | ~int64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Rate writes messages per second, small ones with a digit more.
func Rate(perSecond float64) string {
	if perSecond < 9.95 {
		return fmt.Sprintf("%.2f/s", perSecond)
	}
	return Number(int64(math.Round(perSecond))) + "/s"
}

// Span writes a duration by its two largest units: 45s, 4m05s, 2h03m, 3d04h.
func Span(d time.Duration) string {
	d = max(0, d.Round(time.Second))
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd%02dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%02dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%02ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}

// Bytes writes an amount of memory in binary units.
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= unit && prefix < 3 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[prefix])
}

// Plural is the count with the noun in the number that it asks for.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + many
}

// Bar draws how much of total is done and how much of it dead.
func Bar(width int, done, dead, total int64) string {
	if total <= 0 || width <= 0 {
		return strings.Repeat("░", max(0, width))
	}
	cells := func(n int64) int { return int(min(n, total) * int64(width) / total) }
	filled := cells(done + dead)
	full := min(cells(done), filled)
	return strings.Repeat("█", full) + strings.Repeat("▒", filled-full) + strings.Repeat("░", width-filled)
}

// Sparkline draws values as columns between zero and the largest of them.
// A value above zero is never drawn as zero.
func Sparkline(values []float64) string {
	levels := []rune(" ▁▂▃▄▅▆▇█")
	highest := 0.0
	for _, value := range values {
		highest = max(highest, value)
	}
	var line strings.Builder
	for _, value := range values {
		level := 0
		if highest > 0 && value > 0 {
			level = max(1, int(math.Round(value/highest*float64(len(levels)-1))))
		}
		line.WriteRune(levels[level])
	}
	return line.String()
}

// Clip shortens text to width runes and marks the cut.
func Clip(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return string(runes[:max(0, width-1)]) + "…"
}

// OneLine puts text that may span lines on one.
func OneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
