package bus

import "time"

// RememberDeletions sets for how long a bucket keeps the markers of deletions.
func RememberDeletions(b *Bucket, d time.Duration) { b.markers = d }
