package bus

import (
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// What a host has wished for counts for a month; then it is taken for gone.
func TestWishesEnd(t *testing.T) {
	const today = 20_000
	f := func(meta map[string]string, want []string, hosts int) {
		t.Helper()
		config := jetstream.ConsumerConfig{Metadata: map[string]string{"pw-first": "1"}}
		Input{Host: "h1", Filters: []string{"a"}}.share(&config, meta, today)
		if got := readersOf(config.Metadata); !slices.Equal(config.FilterSubjects, want) || len(got) != hosts || got["h1"].Day != today {
			t.Errorf("of %v: %v, readers %v", meta, config.FilterSubjects, got)
		}
		if _, ordered := config.Metadata["pw-order-h1"]; ordered || config.Metadata["pw-first"] != "1" {
			t.Errorf("of %v: metadata %v", meta, config.Metadata)
		}
	}
	f(nil, []string{"a"}, 1)
	f(map[string]string{"pw-reads-h1": "19999 x y", "pw-order-h1": "source"}, []string{"a"}, 1)
	f(map[string]string{"pw-reads-h2": "19970 b a", "pw-order-h2": "source", "pw-first": "9"}, []string{"a", "b"}, 2)
	f(map[string]string{"pw-reads-h2": "19969 b", "pw-order-h2": "source"}, []string{"a"}, 1)
	f(map[string]string{"pw-reads-h2": "b c"}, []string{"a"}, 1) // nobody knows since when
}
