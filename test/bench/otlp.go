package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/loadtest"
)

const (
	otlpBatch   = 1000 // points of a request: 10 metrics of 100 points with 4 tags each
	otlpMetrics = 10
	otlpClients = 8
	otlpWithin  = 5 * time.Minute // which nothing takes that is worth measuring
)

// otlps measures metrics that come by OTLP, each request acknowledged when the stream has it.
func otlps(ctx context.Context, s settings) ([]row, error) {
	var rows []row
	for _, zipped := range []bool{false, true} {
		var pushes []push
		for range s.runs {
			p, err := pushOTLP(ctx, s, zipped)
			if err != nil {
				return rows, err
			}
			pushes = append(pushes, p)
		}
		slices.SortFunc(pushes, func(a, b push) int { return int(1e6 * (a.micros - b.micros)) })
		p := pushes[len(pushes)/2]
		title := "otlp, protobuf"
		if zipped {
			title += " with gzip"
		}
		rows = append(rows,
			row{title + ": points/s", fmt.Sprintf("%.0f", p.rate), "", "300000", "600000", judge(p.rate, 3e5, 6e5, false)},
			row{title + ": CPU µs a point", fmt.Sprintf("%.3f", p.micros), fmt.Sprintf("bus: %.3f, client: %.3f", p.bus, p.client), "", "", noBar},
			row{title + ": peak MB", fmt.Sprintf("%.0f", p.peak), "", "", "", noBar})
	}
	return rows, nil
}

// A push is one run of otlps.
type push struct {
	rate                float64 // points/s
	micros, bus, client float64 // CPU a point, of the collector and of others
	peak                float64 // MB of the collector
}

// pushOTLP sends the points, and then looks for each in the stream.
func pushOTLP(ctx context.Context, s settings, zipped bool) (p push, err error) {
	ctx, cancel := context.WithTimeout(ctx, otlpWithin)
	defer cancel()
	h := hop{points: min(s.points, 4_000_000) / otlpBatch * otlpBatch, keeps: all}
	listen := fmt.Sprintf("http://127.0.0.1:%d", lab.FreePort())
	sys, err := start(ctx, s, "otlp", fmt.Sprintf("host: bench\nbus: { sync: always }\ncollect:\n  %s: { use: otlp, listen: %q }\n", hopPlugin, listen))
	if err != nil {
		return p, err
	}
	defer sys.stop()
	bodies, err := otlpBodies(h.points, zipped)
	if err != nil {
		return p, err
	}
	sys.pids["client"] = os.Getpid()
	before, err := sys.usage()
	if err != nil {
		return p, err
	}
	begin := time.Now()
	if err := sendOTLP(ctx, listen+"/v1/metrics", bodies, zipped); err != nil {
		return p, fmt.Errorf("%w\n%s", err, sys.agent.Log.Tail())
	}
	took := time.Since(begin)
	after, err := sys.usage()
	if err != nil {
		return p, err
	}
	each, _ := after.since(before)
	micros := func(name string) float64 { return float64(each[name].Nanoseconds()) / 1e3 / float64(h.points) }
	p = push{float64(h.points) / took.Seconds(), micros(hopPlugin), micros("agent"), micros("client"), float64(after.peak[hopPlugin]) / 1e6}
	conn, _, err := sys.Connect(ctx)
	if err != nil {
		return p, err
	}
	defer conn.Close()
	return p, h.check(ctx, conn)
}

// sendOTLP posts bodies, some at a time, each until it is acknowledged as a whole.
func sendOTLP(ctx context.Context, url string, bodies [][]byte, zipped bool) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: otlpClients, DisableCompression: true}}
	defer client.CloseIdleConnections()
	for range otlpClients {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return nil
				}
				if err := postOTLP(ctx, client, url, bodies[i], zipped); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

func postOTLP(ctx context.Context, client *http.Client, url string, body []byte, zipped bool) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-protobuf")
		if zipped {
			req.Header.Set("Content-Encoding", "gzip")
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		err = errors.Join(err, resp.Body.Close())
		switch {
		case err != nil:
			return err
		case resp.Header.Get("Retry-After") != "":
			time.Sleep(time.Second)
		case resp.StatusCode != http.StatusOK || len(text) > 0: // an empty answer says that every point is taken
			return fmt.Errorf("%s: %q", resp.Status, text)
		default:
			return nil
		}
	}
}

// otlpBodies returns the requests that bring so many points.
func otlpBodies(points int, zipped bool) ([][]byte, error) {
	var bodies [][]byte
	for from := 0; from < points; from += otlpBatch {
		body := otlpRequest(from)
		if zipped {
			var b bytes.Buffer
			z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
			if err != nil {
				return nil, err
			}
			if _, err := z.Write(body); err != nil {
				return nil, err
			}
			if err := z.Close(); err != nil {
				return nil, err
			}
			body = b.Bytes()
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

// A message is one of protobuf, written by hand: the bench has no library for it.
type message []byte

func (m *message) put(number int, part []byte) {
	*m = binary.AppendUvarint(*m, uint64(number)<<3|2)
	*m = append(binary.AppendUvarint(*m, uint64(len(part))), part...)
}

func (m *message) text(number int, text string) { m.put(number, []byte(text)) }

func (m *message) fixed(number int, v uint64) {
	*m = binary.LittleEndian.AppendUint64(binary.AppendUvarint(*m, uint64(number)<<3|1), v)
}

func (m *message) attribute(number int, key, value string) {
	var v, pair message
	v.text(1, value)
	pair.text(1, key)
	pair.put(2, v)
	m.put(number, pair)
}

// otlpRequest returns an ExportMetricsServiceRequest of the points from a number on: gauges of floats and sums of integers.
func otlpRequest(from int) []byte {
	var resource, scope, all, request message
	resource.attribute(1, "service.name", "checkout")
	resource.attribute(1, "host.name", "web-01")
	resource.attribute(1, "telemetry.sdk.name", "opentelemetry")
	for k := range otlpMetrics {
		scope.put(2, otlpMetric(k, from+k*otlpBatch/otlpMetrics))
	}
	all.put(1, resource)
	all.put(2, scope)
	request.put(1, all)
	return request
}

func otlpMetric(k, from int) message {
	var data, metric message
	for i := from; i < from+otlpBatch/otlpMetrics; i++ {
		var point message
		point.fixed(2, uint64(loadtest.Time(0)))
		point.fixed(3, uint64(loadtest.Time(i)))
		if k%2 == 0 {
			point.fixed(4, math.Float64bits(90-float64(i%700)/10))
		} else {
			point.fixed(6, uint64(100000+i*31))
		}
		point.attribute(7, "http.method", []string{"GET", "POST", "PUT"}[i%3])
		point.attribute(7, "http.route", fmt.Sprintf("/v1/%d", i%40))
		data.put(1, point)
	}
	metric.text(1, "http.server."+strings.Repeat("x", k))
	metric.text(2, "what the metric is about, as libraries send it each time")
	metric.text(3, "ms")
	if k%2 == 0 {
		metric.put(5, data)
		return metric
	}
	data = append(data, 2<<3, 2, 3<<3, 1) // cumulative, monotonic
	metric.put(7, data)
	return metric
}
