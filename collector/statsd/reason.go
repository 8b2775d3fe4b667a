package statsd

// A reason says why something was not counted. Its name is that of the plugin's counter.
type reason uint8

const (
	fine reason = iota
	badName
	badType
	badValue
	badRate
	badTime
	badTags
	badEvent
	badCheck
	notFinite
	tooLong
	badLength
	unfinished
	metricsFull
	setsFull
	eventsFull
	backlog
	reasons
)

var reasonNames = [reasons]string{
	badName:     "bad_name",
	badType:     "bad_type",
	badValue:    "bad_value",
	badRate:     "bad_rate",
	badTime:     "bad_time",
	badTags:     "bad_tags",
	badEvent:    "bad_event",
	badCheck:    "bad_check",
	notFinite:   "not_finite",
	tooLong:     "too_long",
	badLength:   "bad_length",
	unfinished:  "unfinished",
	metricsFull: "metrics_full",
	setsFull:    "sets_full",
	eventsFull:  "events_full",
	backlog:     "backlog",
}

func (r reason) String() string { return reasonNames[r] }

// losses are what was lost since somebody asked.
type losses struct {
	counts [reasons]int
	first  reason
	line   []byte // the begin of that
}

func (l *losses) add(r reason, line []byte) {
	l.counts[r]++
	if l.first == fine {
		l.first, l.line = r, append(l.line[:0], line[:min(len(line), 60)]...)
	}
}

// reset forgets them, and keeps the memory.
func (l *losses) reset() {
	if l.first != fine {
		*l = losses{line: l.line[:0]}
	}
}
