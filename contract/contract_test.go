package contract_test

import (
	"testing"
	"time"

	"caravan.dev/caravan/contract"
)

func TestKeysShareOneHashSlot(t *testing.T) {
	keys, err := contract.NewKeys("caravan")
	if err != nil {
		t.Fatal(err)
	}
	want := contract.Keys{
		Jobs: "{caravan}:jobs", IDs: "{caravan}:ids", Results: "{caravan}:results",
		Dead: "{caravan}:dead", Stats: "{caravan}:stats", Workers: "{caravan}:workers",
	}
	if keys != want {
		t.Errorf("keys = %+v, want %+v", keys, want)
	}
}

func TestQueueNamesThatCouldBreakOutAreRefused(t *testing.T) {
	for _, name := range []string{"", "a b", `a"b`, "a}b", "-a", "ä", "a\n", "${HOME}", "a:b"} {
		if _, err := contract.NewKeys(name); err == nil {
			t.Errorf("queue name %q was accepted", name)
		}
	}
}

func TestParseBeat(t *testing.T) {
	beat, err := contract.ParseBeat("1700000000000 1700000003500")
	if err != nil {
		t.Fatal(err)
	}
	if got := beat.Last.Sub(beat.Since); got != 3500*time.Millisecond {
		t.Errorf("alive for %s, want 3.5s", got)
	}
	for _, bad := range []string{"", "17", "a b", "17 ", " 17"} {
		if _, err := contract.ParseBeat(bad); err == nil {
			t.Errorf("heartbeat %q was accepted", bad)
		}
	}
}
