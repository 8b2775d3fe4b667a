package lines

import (
	"bytes"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A counter encodes what is posted, at once, and counts it.
type counter struct {
	msg     []byte
	free    []*telemetry.Batch
	points  int
	bytes   int
	batches int
	limit   int           // of points
	full    chan struct{} // closed when the limit is reached
}

func (c *counter) Post(b *telemetry.Batch, _ time.Duration) error {
	before := c.points
	_ = c.Emit(b)
	b.Reset()
	c.free = append(c.free, b)
	if before < c.limit && c.points >= c.limit {
		close(c.full)
	}
	return nil
}

func (c *counter) Emit(b *telemetry.Batch) error {
	c.msg = b.AppendMsgPack(c.msg[:0])
	c.points += b.Len()
	c.bytes += len(c.msg)
	c.batches++
	return nil
}

func (c *counter) Batch() *telemetry.Batch {
	if n := len(c.free); n > 0 {
		b := c.free[n-1]
		c.free = c.free[:n-1]
		return b
	}
	return &telemetry.Batch{}
}

func (c *counter) Drop(string, int) {}

// benchText returns n lines of 4 tags and 5 fields.
func benchText(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "cpu,cpu=cpu%d,host=web-%02d,keep=yes,rack=r%d usage_idle=%.2f,usage_system=%.2f,usage_user=%.2f,ctx=%di,irq=%di %d\n",
			i%16, i%20, i%4, 90-float64(i%700)/10, float64(i%300)/10, float64(i%977)/10, 100000+i*31, i%200, 1_763_559_525_000_000_000+i*1000)
	}
	return b.Bytes()
}
