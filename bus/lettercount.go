package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// LetterCounts returns how many dead letters of each plugin lie in DEAD, without copies that others have brought and those that are being
// given again.
func (c *Conn) LetterCounts(ctx context.Context) (map[string]uint64, error) {
	stream, err := c.dead(ctx)
	if err != nil {
		return nil, err
	}
	ctx, done := c.heed(ctx, "$JS.API.STREAM.INFO."+StreamDead)
	defer done()
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(Pattern(AreaDead, Any)))
	if err != nil {
		return nil, fmt.Errorf("count dead letters: %w", missing(whyEnded(ctx, err)))
	}
	counts := map[string]uint64{}
	for subject, n := range info.State.Subjects {
		if s, err := ParseSubject(subject); err == nil {
			counts[s.Plugin] += n
		}
	}
	return counts, nil
}
