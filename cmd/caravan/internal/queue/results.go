package queue

import (
	"context"
	"fmt"
	"slices"
)

// Results visits every result once: its id and its JSON text. The order is the
// server's: the same as long as no result is added. Results that are added
// meanwhile may or may not be visited.
func (q *Queue) Results(ctx context.Context, visit func(id, result string) error) error {
	seen := map[string]bool{} // a scan may return a field twice while the hash grows
	var cursor uint64
	for {
		page, next, err := q.redis.HScan(ctx, q.keys.Results, cursor, "", pageSize).Result()
		if err != nil {
			return fmt.Errorf("reading results: %w", err)
		}
		for i := 0; i+1 < len(page); i += 2 {
			if seen[page[i]] {
				continue
			}
			seen[page[i]] = true
			if err := visit(page[i], page[i+1]); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// ResultsOf returns the JSON text of each id's result, "" where there is none.
func (q *Queue) ResultsOf(ctx context.Context, ids []string) ([]string, error) {
	values, err := q.redis.HMGet(ctx, q.keys.Results, ids...).Result()
	if err != nil {
		return nil, fmt.Errorf("reading results: %w", err)
	}
	results := make([]string, len(values))
	for i, value := range values {
		results[i], _ = value.(string) // nil where there is none
	}
	return results, nil
}

// DeleteResults deletes the results of ids, a page at a time, and returns how
// many were there; on an error, of those that were reached.
func (q *Queue) DeleteResults(ctx context.Context, ids []string) (int, error) {
	deleted := 0
	for page := range slices.Chunk(ids, pageSize) {
		n, err := q.redis.HDel(ctx, q.keys.Results, page...).Result()
		if err != nil {
			return deleted, fmt.Errorf("deleting results: %w", err)
		}
		deleted += int(n)
	}
	return deleted, nil
}
