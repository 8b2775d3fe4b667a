package otlp

import (
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// noon is the time of all points.
const noon = 1763559525000000000

// encode returns req in a form, as others write it.
func encode(t testing.TB, f form, req *collector.ExportMetricsServiceRequest) string {
	t.Helper()
	text, err := proto.Marshal(req)
	if f == jsonForm {
		text, err = protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(req)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// request returns a request of one resource with those metrics.
func request(all ...*metrics.Metric) *collector.ExportMetricsServiceRequest {
	return &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{
			text("service.name", "shop"), text("host.name", "web-1"), text("process.command", "/bin/shop"),
		}},
		ScopeMetrics: []*metrics.ScopeMetrics{{Scope: &common.InstrumentationScope{Name: "s"}, Metrics: all}},
	}}}
}

func text(key, value string) *common.KeyValue {
	return attribute(key, &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}})
}

func attribute(key string, v *common.AnyValue) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: v}
}

// whole returns a data point of an integer.
func whole(v int64, attributes ...*common.KeyValue) *metrics.NumberDataPoint {
	return &metrics.NumberDataPoint{TimeUnixNano: noon, Value: &metrics.NumberDataPoint_AsInt{AsInt: v}, Attributes: attributes}
}

// decimal returns a data point of a float.
func decimal(v float64, attributes ...*common.KeyValue) *metrics.NumberDataPoint {
	return &metrics.NumberDataPoint{TimeUnixNano: noon, Value: &metrics.NumberDataPoint_AsDouble{AsDouble: v}, Attributes: attributes}
}

func gaugeOf(name string, points ...*metrics.NumberDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Unit: "1", Description: "d", Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: points}}}
}

func sumOf(name string, temporality metrics.AggregationTemporality, points ...*metrics.NumberDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_Sum{Sum: &metrics.Sum{
		AggregationTemporality: temporality, IsMonotonic: true, DataPoints: points}}}
}

func histogramOf(name string, temporality metrics.AggregationTemporality, points ...*metrics.HistogramDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{
		AggregationTemporality: temporality, DataPoints: points}}}
}

func exponentialOf(name string, temporality metrics.AggregationTemporality, points ...*metrics.ExponentialHistogramDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: &metrics.ExponentialHistogram{
		AggregationTemporality: temporality, DataPoints: points}}}
}

func summaryOf(name string, points ...*metrics.SummaryDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: points}}}
}

// The temporalities, by short names.
const (
	changes    = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	cumulative = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
)

// sample returns a request with a metric of each kind, and attributes of each type.
func sample() *collector.ExportMetricsServiceRequest {
	list := &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{
		{Value: &common.AnyValue_StringValue{StringValue: "a<b"}}, {Value: &common.AnyValue_IntValue{IntValue: -7}}, {},
		{Value: &common.AnyValue_DoubleValue{DoubleValue: 0.5}},
	}}}}
	nested := &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: []*common.KeyValue{
		attribute("z", list), text("a", "x"), attribute("b", &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte{1, 2, 255}}}),
	}}}}
	types := []*common.KeyValue{
		text("text", "a \"b\"\n ü"), text("empty", ""), attribute("none", nil),
		attribute("int", &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: -5}}),
		attribute("bool", &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}),
		attribute("double", &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 1e21}}),
		attribute("bytes", &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte("\x00\xff")}}),
		attribute("list", list), attribute("nested", nested),
	}
	silent := whole(1)
	silent.Flags = 1
	return request(
		gaugeOf("queue.size", whole(42, types...), decimal(0.25, text("service.name", "other")), silent),
		sumOf("requests", cumulative, whole(1<<53+1), decimal(-1.5)),
		histogramOf("latency", cumulative, &metrics.HistogramDataPoint{
			TimeUnixNano: noon, StartTimeUnixNano: noon - 1e9, Count: 6, Sum: new(7.5), Min: new(0.1), Max: new(4.0),
			ExplicitBounds: []float64{0.005, 1, 2.5e9}, BucketCounts: []uint64{1, 2, 0, 3},
			Exemplars: []*metrics.Exemplar{{TimeUnixNano: noon, Value: &metrics.Exemplar_AsDouble{AsDouble: 3}}},
		}),
		histogramOf("no.buckets", cumulative, &metrics.HistogramDataPoint{TimeUnixNano: noon, Count: 6}),
		exponentialOf("sizes", cumulative, &metrics.ExponentialHistogramDataPoint{
			TimeUnixNano: noon, Count: 21, Sum: new(1.0), Scale: 1, ZeroCount: 3, ZeroThreshold: 1e-9,
			Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: -2, BucketCounts: []uint64{1, 2, 0, 3}},
			Negative: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: 4, BucketCounts: []uint64{5, 0, 7}},
		}),
		summaryOf("old", &metrics.SummaryDataPoint{TimeUnixNano: noon, Count: 10, Sum: 3.5, QuantileValues: []*metrics.SummaryDataPoint_ValueAtQuantile{
			{Quantile: 0.5, Value: 1}, {Quantile: 0.99, Value: 2}, {Quantile: 1, Value: 3},
		}}),
	)
}
