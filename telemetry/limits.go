package telemetry

// Limits of a batch on the wire. A reader refuses what is above them, a writer stays below.
const (
	MaxMessage     = 1 << 20   // bytes of an encoded batch a reader takes
	MaxFrame       = 256 << 10 // bytes of an encoded batch a writer sends at most
	TargetFrame    = 128 << 10 // bytes of an encoded batch a writer aims at
	MaxGroups      = 1024      // groups in a batch
	MaxPoints      = 65535     // points in a batch
	MaxCells       = 262144    // tag and field values in a batch
	MaxTags        = 64        // tags in a map, tag keys in a group
	MaxFields      = 256       // fields in a group
	MaxName        = 255       // bytes of a series, a key or a field name
	MaxTagValue    = 1024      // bytes of a tag value
	MaxText        = 65535     // bytes of a string field
	maxUnknownDeep = 4         // nesting of a value whose type letter is reserved
)

// version is the layout of a batch that this package writes and reads.
const version = 1
