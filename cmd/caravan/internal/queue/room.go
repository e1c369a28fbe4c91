package queue

import (
	"context"
	"errors"
	"fmt"

	"caravan.dev/caravan/contract"
)

// LoadPercent is the part of maxmemory, in percent, that loading may fill. The
// rest is kept for results and for what is in hand: workers record their outcomes
// even beyond maxmemory, so a queue that loading has filled would outgrow its pod.
const LoadPercent = 60

// ErrFull is the refusal to take more messages.
var ErrFull = errors.New("redis has no room for more messages")

// Memory is how much of its memory the server uses.
type Memory struct {
	// UsedBytes and LimitBytes are used_memory and maxmemory; LimitBytes 0 means no limit.
	UsedBytes  int64 `json:"usedBytes"`
	LimitBytes int64 `json:"limitBytes"`
}

// Fits says whether loading may add so many bytes.
func (m Memory) Fits(bytes int64) bool {
	return m.LimitBytes == 0 || (m.UsedBytes+bytes)*100 <= m.LimitBytes*LoadPercent
}

// refusal says why messages are not loaded.
func (m Memory) refusal() error {
	const mebi = 1 << 20
	return fmt.Errorf("%w: it uses %.1f of %.1f MiB, and loading stops at %d %% because the rest is kept for results and for what is in hand",
		ErrFull, float64(m.UsedBytes)/mebi, float64(m.LimitBytes)/mebi, LoadPercent)
}

// memory asks the server.
func (q *Queue) memory(ctx context.Context) (Memory, error) {
	info, err := q.redis.Info(ctx, "memory").Result()
	if err != nil {
		return Memory{}, fmt.Errorf("asking redis for its memory: %w", err)
	}
	return parseMemory(infoFields(info))
}

// admit returns the messages that may be loaded: all while there is room. Else
// those that need none because they are in the queue or done, and the refusal of
// the others. bytes is the size of the bodies.
func (q *Queue) admit(ctx context.Context, messages []Message, bytes int64) ([]Message, error) {
	memory, err := q.memory(ctx)
	if err != nil {
		return nil, err
	}
	if memory.Fits(bytes) {
		return messages, nil
	}
	if q.mode == List {
		return nil, memory.refusal()
	}
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = m.ID
	}
	outcomes, err := q.Outcomes(ctx, ids)
	if err != nil {
		return nil, err
	}
	var known []Message
	for i, m := range messages {
		if outcomes[i] != Dead {
			known = append(known, m)
		}
	}
	if len(known) == len(messages) {
		return messages, nil
	}
	return known, memory.refusal()
}

// add loads messages without regard to room.
func (q *Queue) add(ctx context.Context, messages []Message) ([]contract.Status, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	if q.mode == List {
		return q.push(ctx, messages)
	}
	return q.runLoad(ctx, messages)
}
