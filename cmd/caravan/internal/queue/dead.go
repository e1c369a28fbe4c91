package queue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"caravan.dev/caravan/contract"
)

// DeadLetter is a message that was given up.
type DeadLetter struct {
	// Entry is its place in the stream of dead letters; ID is the message's id.
	Entry string `json:"entry"`
	ID    string `json:"id"`
	// Body is the message as it was loaded, whatever it is.
	Body   string `json:"body"`
	Reason string `json:"reason"`
	// Worker had the message last.
	Worker string `json:"worker,omitempty"`
	// Attempts is how many failed.
	Attempts int `json:"attempts"`
	// At is when it was given up, in Redis's clock.
	At time.Time `json:"at"`
}

// DeadLetters returns all dead letters, oldest first.
func (q *Queue) DeadLetters(ctx context.Context) ([]DeadLetter, error) {
	var letters []DeadLetter
	for start := "-"; ; {
		page, err := q.redis.XRangeN(ctx, q.keys.Dead, start, "+", pageSize).Result()
		if err != nil {
			return nil, fmt.Errorf("reading dead letters: %w", err)
		}
		for _, entry := range page {
			letter, err := deadLetter(entry)
			if err != nil {
				return nil, err
			}
			letters = append(letters, letter)
		}
		if len(page) < pageSize {
			return letters, nil
		}
		start = "(" + page[len(page)-1].ID
	}
}

func deadLetter(entry redis.XMessage) (DeadLetter, error) {
	text := func(field string) string { s, _ := entry.Values[field].(string); return s }
	letter := DeadLetter{
		Entry: entry.ID, ID: text(contract.FieldID), Body: text(contract.FieldBody),
		Reason: text(contract.FieldReason), Worker: text(contract.FieldWorker),
	}
	if letter.ID == "" {
		letter.ID = entry.ID
	}
	letter.Attempts, _ = strconv.Atoi(text(contract.FieldAttempts)) // absent means 0
	var err error
	letter.At, err = entryTime(entry.ID)
	return letter, err
}

// entryTime is when a stream entry was added.
func entryTime(id string) (time.Time, error) {
	milliseconds, _, _ := strings.Cut(id, "-")
	ms, err := strconv.ParseInt(milliseconds, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the time of entry %s: %w", id, err)
	}
	return time.UnixMilli(ms), nil
}

// Replay makes dead letters messages again, with no attempts counted, and
// returns the status of each entry that was answered for.
func (q *Queue) Replay(ctx context.Context, entries []string) ([]contract.Status, error) {
	var statuses []contract.Status
	for start := 0; start < len(entries); start += messagesPerCall {
		page := anys(entries[start:min(start+messagesPerCall, len(entries))])
		answered, err := q.redis.Eval(ctx, contract.ReplayScript, q.keys.All(), page...).StringSlice()
		if err != nil {
			return statuses, fmt.Errorf("replaying dead letters: %w", err)
		}
		statuses = appendStatuses(statuses, answered)
	}
	return statuses, nil
}

// Purge deletes dead letters and returns how many were there.
func (q *Queue) Purge(ctx context.Context, entries []string) (int, error) {
	purged := 0
	for start := 0; start < len(entries); start += pageSize {
		deleted, err := q.redis.XDel(ctx, q.keys.Dead, entries[start:min(start+pageSize, len(entries))]...).Result()
		if err != nil {
			return purged, fmt.Errorf("deleting dead letters: %w", err)
		}
		purged += int(deleted)
	}
	return purged, nil
}

func anys(texts []string) []any {
	values := make([]any, len(texts))
	for i, text := range texts {
		values[i] = text
	}
	return values
}
