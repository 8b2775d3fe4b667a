package bus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A Reader is what a host wants of a durable consumer that it shares with others: each has its wish noted in the consumer, which
// gives out what any of them wants. So agents whose configs differ do not take from each other what they read. Two that write in the
// same moment may overwrite each other, so each looks again a moment later, and now and then, whether its wish is there. One that was not said again for
// WishDays counts no more: its host is gone.
type Reader struct {
	Filters []string
	Ordered bool
	Day     int64 // on which it was said last, since 1970
}

// WishDays is for how many days a wish counts.
const WishDays = 30

// Today is the day as a Reader has it.
func Today() int64 { return time.Now().Unix() / (24 * 60 * 60) }

// Where a consumer keeps the wishes: behind it stands the token of the host.
const (
	metaReads = "pw-reads-"
	metaOrder = "pw-order-"
)

// note writes the wish of a host into the metadata of its consumer.
func (in Input) note(meta map[string]string, today int64) {
	host := Token(in.Host)
	meta[metaReads+host] = strconv.FormatInt(today, 10) + " " + strings.Join(in.Filters, " ")
	delete(meta, metaOrder+host)
	if in.Ordered {
		meta[metaOrder+host] = "source"
	}
}

// readersOf returns the wishes in the metadata of a consumer, by the tokens of the hosts.
func readersOf(meta map[string]string) map[string]Reader {
	all := map[string]Reader{}
	for key, wish := range meta {
		if host, ok := strings.CutPrefix(key, metaReads); ok {
			day, filters, _ := strings.Cut(wish, " ")
			r := Reader{Filters: strings.Fields(filters)}
			r.Day, _ = strconv.ParseInt(day, 10, 64) // 0 of who writes something else: it counts no more
			_, r.Ordered = meta[metaOrder+host]
			all[host] = r
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
func (in Input) share(config *jetstream.ConsumerConfig, meta map[string]string, today int64) {
	for host, r := range readersOf(meta) {
		if r.Day+WishDays < today {
			continue
		}
		for _, key := range []string{metaReads + host, metaOrder + host} {
			if value, ok := meta[key]; ok {
				config.Metadata[key] = value
			}
		}
	}
	if in.Host == "" {
		return
	}
	in.note(config.Metadata, today)
	config.FilterSubjects = wanted(readersOf(config.Metadata))
}

// shared reports whether the wish of in stands in a consumer, which another agent may have written at the same moment.
func (in Input) shared(meta map[string]string) bool {
	is, ok := readersOf(meta)[Token(in.Host)]
	return ok && is.Ordered == in.Ordered && slices.Equal(is.Filters, in.Filters)
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
