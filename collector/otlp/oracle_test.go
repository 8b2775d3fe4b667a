package otlp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"

	"github.com/pacewire/pacewire/internal/bucket"
	"github.com/pacewire/pacewire/telemetry"
)

// An oracle says which points a request makes, in the plainest way there is, with the message as others read it.
type oracle struct {
	arrival uint64
	tags    telemetry.Tags
	points  []string
}

// expected returns the points of a request whose changes are kept, as text and sorted.
func expected(req *collector.ExportMetricsServiceRequest, arrival time.Time) []string {
	o := oracle{arrival: uint64(arrival.UnixNano())}
	for _, r := range req.ResourceMetrics {
		for _, s := range r.ScopeMetrics {
			for _, m := range s.Metrics {
				o.metric(r.GetResource().GetAttributes(), m)
			}
		}
	}
	slices.Sort(o.points)
	return o.points
}

// An anyPoint is what data points have in common.
type anyPoint interface {
	GetAttributes() []*common.KeyValue
	GetTimeUnixNano() uint64
	GetFlags() uint32
}

func (o *oracle) metric(resource []*common.KeyValue, m *metrics.Metric) {
	if m.Name == "" {
		return
	}
	for _, p := range m.GetGauge().GetDataPoints() {
		o.number(resource, m.Name, p)
	}
	for _, p := range m.GetSum().GetDataPoints() {
		o.number(resource, m.Name, p)
	}
	for _, p := range m.GetHistogram().GetDataPoints() {
		o.histogram(resource, m.Name, p)
	}
	for _, p := range m.GetSummary().GetDataPoints() {
		o.summary(resource, m.Name, p)
	}
	for _, p := range m.GetExponentialHistogram().GetDataPoints() {
		o.exponential(resource, m.Name, p)
	}
}

// begin reports whether p is one, and looks at its tags.
func (o *oracle) begin(resource []*common.KeyValue, p anyPoint) bool {
	if p.GetFlags()&1 != 0 || p.GetTimeUnixNano() > math.MaxInt64 {
		return false
	}
	o.tags = telemetry.Tags{}
	chosen := 0
	for _, a := range resource {
		if slices.Contains(defaults().Resource, a.GetKey()) {
			o.tags[a.GetKey()] = attributeText(a.GetValue())
			chosen++
		}
	}
	if len(p.GetAttributes()) > telemetry.MaxTags || chosen > telemetry.MaxTags {
		return false
	}
	for _, a := range p.GetAttributes() {
		o.tags[a.GetKey()] = attributeText(a.GetValue())
	}
	maps.DeleteFunc(o.tags, func(_, text string) bool { return text == "" })
	return len(o.tags) < telemetry.MaxTags
}

// add adds a point.
func (o *oracle) add(series string, p anyPoint, v any, more ...string) {
	if f, ok := v.(float64); ok && !isFinite(f) {
		return
	}
	t := p.GetTimeUnixNano()
	if t == 0 {
		t = o.arrival
	}
	var b telemetry.Batch
	tags := telemetry.Tags{}
	maps.Copy(tags, o.tags)
	if len(more) > 0 {
		tags[more[0]] = more[1]
	}
	b.Append(telemetry.Point{Series: series, Time: time.Unix(0, int64(t)), Tags: tags, Fields: telemetry.Fields{"value": v}})
	for p := range b.Points() {
		o.points = append(o.points, pointText(p))
	}
}

func pointText(p telemetry.Point) string {
	return fmt.Sprintf("%q %q %T %v %d", p.Series, p.Tags, p.Fields["value"], p.Fields["value"], p.Time.UnixNano())
}

func (o *oracle) number(resource []*common.KeyValue, name string, p *metrics.NumberDataPoint) {
	if !o.begin(resource, p) {
		return
	}
	switch v := p.Value.(type) {
	case *metrics.NumberDataPoint_AsInt:
		o.add(name, p, v.AsInt)
	case *metrics.NumberDataPoint_AsDouble:
		o.add(name, p, v.AsDouble)
	}
}

func (o *oracle) histogram(resource []*common.KeyValue, name string, p *metrics.HistogramDataPoint) {
	fits := len(p.BucketCounts) == 0 || len(p.BucketCounts) == len(p.ExplicitBounds)+1
	sorted := true
	for _, b := range p.ExplicitBounds {
		fits = fits && isFinite(b)
	}
	for i := 1; i < len(p.ExplicitBounds); i++ {
		sorted = sorted && p.ExplicitBounds[i-1] < p.ExplicitBounds[i]
	}
	if !fits || !sorted || tooMany(p.Count) || tooMany(p.BucketCounts...) || !o.begin(resource, p) {
		return
	}
	o.ends(name, p, p.Count, p.Sum, p.Min, p.Max)
	total := uint64(0)
	for i, n := range p.BucketCounts {
		total += n
		le := "+Inf"
		if i < len(p.ExplicitBounds) {
			le = strconv.FormatFloat(p.ExplicitBounds[i], 'g', -1, 64)
		}
		o.add(name+"_bucket", p, int64(total), "le", le)
	}
}

// ends adds what histograms have besides buckets.
func (o *oracle) ends(name string, p anyPoint, count uint64, sum, least, most *float64) {
	o.add(name+"_count", p, int64(count))
	for suffix, v := range map[string]*float64{"_sum": sum, "_min": least, "_max": most} {
		if v != nil {
			o.add(name+suffix, p, *v)
		}
	}
}

func tooMany(counts ...uint64) bool {
	total := 0.0
	for _, n := range counts {
		total += float64(n)
	}
	return total >= 1<<63
}

func (o *oracle) summary(resource []*common.KeyValue, name string, p *metrics.SummaryDataPoint) {
	if tooMany(p.Count) || !o.begin(resource, p) {
		return
	}
	o.ends(name, p, p.Count, &p.Sum, nil, nil)
	for _, q := range p.QuantileValues {
		o.add(name, p, q.GetValue(), "quantile", strconv.FormatFloat(q.GetQuantile(), 'g', -1, 64))
	}
}

func (o *oracle) exponential(resource []*common.KeyValue, name string, p *metrics.ExponentialHistogramDataPoint) {
	counts := append(slices.Clone(p.GetPositive().GetBucketCounts()), p.GetNegative().GetBucketCounts()...)
	odd := p.Scale < -maxScale || p.Scale > maxScale || !(p.ZeroThreshold >= 0) || math.IsInf(p.ZeroThreshold, 0)
	if odd || tooMany(p.Count) || tooMany(append(counts, p.ZeroCount)...) || !o.begin(resource, p) {
		return
	}
	o.ends(name, p, p.Count, p.Sum, p.Min, p.Max)
	below := map[float64]uint64{} // how many values each bound has below it that the bound before it has not
	bound := func(index int) float64 { return bucket.Bound(p.Scale, int64(index)) }
	for i, n := range p.GetPositive().GetBucketCounts() {
		below[bound(int(p.Positive.Offset)+i+1)] += n
	}
	for i, n := range p.GetNegative().GetBucketCounts() {
		below[0-bound(int(p.Negative.Offset)+i)] += n
	}
	if n := len(p.GetPositive().GetBucketCounts()); n > 0 {
		below[bound(int(p.Positive.Offset))] += 0 // where the first begins
	}
	if n := len(p.GetNegative().GetBucketCounts()); n > 0 {
		below[0-bound(int(p.Negative.Offset)+n)] += 0
	}
	below[p.ZeroThreshold] += p.ZeroCount
	below[math.Inf(1)] += 0
	total := uint64(0)
	for _, le := range slices.Sorted(maps.Keys(below)) {
		total += below[le]
		if math.IsInf(le, 1) {
			total = max(total, p.Count)
		}
		if !math.IsInf(le, -1) {
			o.add(name+"_bucket", p, int64(total), "le", strconv.FormatFloat(le, 'g', -1, 64))
		}
	}
}

// attributeText returns the value of an attribute as a tag has it.
func attributeText(v *common.AnyValue) string {
	switch plain := plainOf(v).(type) {
	case nil:
		return ""
	case string:
		return plain
	case bool, int64:
		return fmt.Sprint(plain)
	case float64:
		return strconv.FormatFloat(plain, 'g', -1, 64)
	case []byte:
		return base64.StdEncoding.EncodeToString(plain)
	default:
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(plain)
		return strings.TrimSuffix(b.String(), "\n")
	}
}

func plainOf(v *common.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_BytesValue:
		return v.BytesValue
	case *common.AnyValue_DoubleValue:
		return v.DoubleValue
	case *common.AnyValue_BoolValue:
		return v.BoolValue
	case *common.AnyValue_IntValue:
		return v.IntValue
	case *common.AnyValue_ArrayValue:
		all := []any{}
		for _, one := range v.ArrayValue.GetValues() {
			all = append(all, jsonValue(plainOf(one)))
		}
		return all
	case *common.AnyValue_KvlistValue:
		all := map[string]any{}
		for _, one := range v.KvlistValue.GetValues() {
			all[one.GetKey()] = jsonValue(plainOf(one.GetValue()))
		}
		return all
	}
	return nil
}

// jsonValue returns v, and in the place of numbers that JSON does not have their text.
func jsonValue(v any) any {
	if f, ok := v.(float64); ok && !isFinite(f) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return v
}

// read returns the points that we make of a body, as text and sorted.
func read(f form, body []byte, arrival time.Time) (points []string, err error) {
	e := &emitter{drops: map[string]int{}}
	in := intake{chosen: func(key string) bool { return slices.Contains(defaults().Resource, key) }, store: e.Emit}
	in.begin(arrival)
	if err := in.read(f, body); err != nil {
		return nil, err
	}
	if err := in.flush(); err != nil {
		return nil, err
	}
	for _, p := range e.points {
		points = append(points, pointText(p))
	}
	slices.Sort(points)
	return points, nil
}
