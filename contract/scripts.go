package contract

import _ "embed" // for the scripts

// Every script takes Keys.All() as KEYS; its ARGV and its answer are described
// at its head. All run on Redis 6.2 and newer.
var (
	//go:embed scripts/lib.lua
	lib string
	//go:embed scripts/load.lua
	load string
	//go:embed scripts/next.lua
	next string
	//go:embed scripts/commit.lua
	commit string
	//go:embed scripts/fail.lua
	fail string
	//go:embed scripts/beat.lua
	beat string
	//go:embed scripts/replay.lua
	replay string
)

// The scripts, each with the functions that they share in front.
var (
	// LoadScript adds messages: ARGV id, body, id, body, …; an empty id is not looked
	// for. A few hundred messages per call and several calls per round trip load
	// 100,000 in seconds. Answers a list of Loaded, Outstanding or Done.
	LoadScript = lib + load
	// NextScript hands a free slot its next message: ARGV worker, number of the ask.
	// Asking again with the same number gets the same message again. Answers entry, id,
	// body and the attempts that failed before; an empty list when nothing is waiting.
	NextScript = lib + next
	// CommitScript records a result: ARGV entry, id, result. Answers Committed,
	// Duplicate or Stale.
	CommitScript = lib + commit
	// FailScript records a failure: ARGV entry, worker, Fault, reason, maximum of
	// attempts, maximum of abandonments. Answers Requeued, Waiting, Dead or Stale.
	FailScript = lib + fail
	// BeatScript is heartbeat and reaper in one: ARGV worker, dead-after in ms, MinIdle
	// in ms, maximum of abandonments, limit, forget-after in ms, 1 on the first beat of a
	// process. Answers the number of entries that the worker has in hand and the number
	// of entries taken back.
	BeatScript = lib + beat
	// ReplayScript makes dead letters messages again: ARGV their entry ids. Answers a
	// list of Replayed, Done, Outstanding or Gone.
	ReplayScript = lib + replay
)
