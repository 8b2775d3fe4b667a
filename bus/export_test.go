package bus

import (
	"context"
	"time"
)

// RememberDeletions sets for how long a bucket keeps the markers of deletions.
func RememberDeletions(b *Bucket, d time.Duration) { b.markers = d }

// TakeLeaseFrom is TakeLease by a consumer that is there.
func (c *Conn) TakeLeaseFrom(ctx context.Context, plugin string, k *Consumer) (*Lease, error) {
	return c.takeLease(ctx, plugin, k)
}
