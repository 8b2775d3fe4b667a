package bus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// A Reader is what a host wants of a durable consumer that it shares with others: each has its wish noted in the consumer, which
// gives out what any of them wants. So agents whose configs differ do not take from each other what they read. Two that write in the
// same moment may overwrite each other, so each looks again now and then whether its wish is there.
type Reader struct {
	Filters []string
	Ordered bool
}

// Where a consumer keeps the wishes: behind it stands the token of the host.
const (
	metaReads = "pw-reads-"
	metaOrder = "pw-order-"
)

// note writes the wish of a host into the metadata of its consumer.
func (in Input) note(meta map[string]string) {
	host := Token(in.Host)
	meta[metaReads+host] = strings.Join(in.Filters, " ")
	delete(meta, metaOrder+host)
	if in.Ordered {
		meta[metaOrder+host] = "source"
	}
}

// readersOf returns the wishes in the metadata of a consumer, by the tokens of the hosts.
func readersOf(meta map[string]string) map[string]Reader {
	all := map[string]Reader{}
	for key, filters := range meta {
		if host, ok := strings.CutPrefix(key, metaReads); ok {
			_, ordered := meta[metaOrder+host]
			all[host] = Reader{strings.Fields(filters), ordered}
		}
	}
	return all
}

// wanted returns what any of the readers wants.
func wanted(readers map[string]Reader) []string {
	var filters []string
	for _, r := range readers {
		filters = append(filters, r.Filters...)
	}
	slices.Sort(filters)
	return slices.Compact(filters)
}

// share makes config what in asks for beside what others want of the consumer, whose metadata are meta.
func (in Input) share(config *jetstream.ConsumerConfig, meta map[string]string) {
	for key, value := range meta {
		if strings.HasPrefix(key, metaReads) || strings.HasPrefix(key, metaOrder) {
			config.Metadata[key] = value
		}
	}
	if in.Host == "" {
		return
	}
	in.note(config.Metadata)
	config.FilterSubjects = wanted(readersOf(config.Metadata))
}

// shared reports whether the wish of in stands in a consumer, which another agent may have written at the same moment.
func (in Input) shared(meta map[string]string) bool {
	want := map[string]string{}
	in.note(want)
	for key, value := range want {
		if meta[key] != value {
			return false
		}
	}
	return true
}

// LeaveConsumer takes back what host wants of a durable consumer. It gives out on what others want; without others it stays as it
// is, and keeps its place.
func (c *Conn) LeaveConsumer(ctx context.Context, stream, durable, host string) error {
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	k, err := js.Consumer(ctx, stream, Token(durable))
	if err != nil {
		return fmt.Errorf("leave consumer %s of %s: %w", durable, stream, missing(err))
	}
	config := k.CachedInfo().Config
	config.Metadata = maps.Clone(config.Metadata)
	delete(config.Metadata, metaReads+Token(host))
	delete(config.Metadata, metaOrder+Token(host))
	if left := wanted(readersOf(config.Metadata)); len(left) > 0 {
		config.FilterSubject, config.FilterSubjects = "", left
	}
	if _, err := js.UpdateConsumer(ctx, stream, config); err != nil {
		return fmt.Errorf("leave consumer %s of %s: %w", durable, stream, missing(err))
	}
	return nil
}
