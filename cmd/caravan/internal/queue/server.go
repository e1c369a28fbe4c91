package queue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is the state of the Redis server, and what only it can tell of the queue.
type Server struct {
	Version string `json:"version"`
	Memory
	// Policy is what happens at the limit; anything but noeviction loses messages.
	Policy string `json:"policy"`
	// AppendOnly: every write is kept on disk; AppendOnlyOK: the last one was.
	AppendOnly   bool `json:"appendOnly"`
	AppendOnlyOK bool `json:"appendOnlyOk"`
	// OldestSeconds is how long the oldest outstanding message has been in the
	// stream since it was added or requeued; 0 when there is none.
	OldestSeconds int64 `json:"oldestSeconds"`
	// OrphanIDs are ids taken for outstanding while the stream is empty.
	OrphanIDs int64 `json:"orphanIds"`
}

// Server asks the server about itself.
func (q *Queue) Server(ctx context.Context) (Server, error) {
	info, err := q.redis.Info(ctx).Result()
	if err != nil {
		return Server{}, fmt.Errorf("asking redis about itself: %w", err)
	}
	server, err := parseInfo(info)
	if err != nil || q.mode == List {
		return server, err
	}
	var now *redis.TimeCmd
	var oldest *redis.XMessageSliceCmd
	var ids *redis.IntCmd
	_, err = q.redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		now, oldest, ids = pipe.Time(ctx), pipe.XRangeN(ctx, q.keys.Jobs, "-", "+", 1), pipe.SCard(ctx, q.keys.IDs)
		return nil
	})
	if err != nil {
		return Server{}, fmt.Errorf("asking redis for the oldest message: %w", err)
	}
	if len(oldest.Val()) == 0 {
		server.OrphanIDs = ids.Val()
	}
	for _, entry := range oldest.Val() {
		added, err := entryTime(entry.ID)
		if err != nil {
			return Server{}, err
		}
		server.OldestSeconds = int64(now.Val().Sub(added) / time.Second)
	}
	return server, nil
}

// parseInfo reads the text of Redis's INFO command.
func parseInfo(info string) (Server, error) {
	fields := infoFields(info)
	memory, err := parseMemory(fields)
	return Server{
		Version: fields["redis_version"], Memory: memory, Policy: fields["maxmemory_policy"],
		AppendOnly: fields["aof_enabled"] == "1", AppendOnlyOK: fields["aof_last_write_status"] == "ok",
	}, err
}

// infoFields are the lines key:value of INFO.
func infoFields(info string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[key] = value
		}
	}
	return fields
}

func parseMemory(fields map[string]string) (memory Memory, err error) {
	for key, into := range map[string]*int64{"used_memory": &memory.UsedBytes, "maxmemory": &memory.LimitBytes} {
		if *into, err = strconv.ParseInt(fields[key], 10, 64); err != nil {
			return Memory{}, fmt.Errorf("reading redis's %s: %w", key, err)
		}
	}
	return memory, nil
}
