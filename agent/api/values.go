package api

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/pacewire/pacewire/agent/recent"
)

// selection returns which values are meant.
func (c *call) selection() (recent.Query, error) {
	tags, err := c.pairs("tag")
	q := recent.Query{
		Host: c.query.Get("host"), Plugin: c.query.Get("plugin"), Series: c.query.Get("series"), Field: c.query.Get("field"), Tags: tags,
	}
	if h, err := c.s.o.Hub.Host(q.Host); q.Host != "" && err == nil {
		q.Host = h.Host // it may have been a name
	}
	return q, err
}

// mostCatalog bounds the catalog.
const mostCatalog = 5000

func (c *call) series() error {
	q, err := c.selection()
	if err != nil {
		return err
	}
	all := c.s.store.Catalog(q, time.Now())
	more := len(all) > mostCatalog
	return c.json(http.StatusOK, struct {
		Series []recent.Series `json:"series"`
		More   bool            `json:"more,omitzero"`
	}{append([]recent.Series{}, all[:min(len(all), mostCatalog)]...), more})
}

func (c *call) values() error {
	q, err := c.selection()
	if err != nil {
		return err
	}
	most, err := c.limit(usualList, mostList)
	if err != nil {
		return err
	}
	values, more, ok := c.s.store.Latest(q, time.Now(), c.query.Get("after"), most)
	if !ok {
		return invalid("after", "after is no id of a value").hint("take next of the page before, or ask for the list from its beginning")
	}
	page := struct {
		Values []recent.Value `json:"values"`
		Next   string         `json:"next,omitzero"` // there are more: ask with it as after
	}{Values: append([]recent.Value{}, values...)}
	if more {
		page.Next = values[len(values)-1].ID
	}
	return c.json(http.StatusOK, page)
}

// sample is a number of a past; NaN, where nothing was told, is null.
type sample float64

// MarshalJSON returns the number, or null.
func (v sample) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(v)) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(v), 'g', -1, 64), nil
}

var _ json.Marshaler = sample(0)

// line is the past of a series.
type line struct {
	recent.Value
	From   int64    `json:"from"` // begin of the first slot, ns
	Values []sample `json:"values"`
}

func (c *call) history() error {
	q, err := c.selection()
	if err != nil {
		return err
	}
	most, err := c.limit(20, 200)
	if err != nil {
		return err
	}
	since, err := c.since("since")
	if err != nil {
		return err
	}
	now := time.Now()
	all, more := c.s.store.History(q, since, now, most)
	page := struct {
		StepMS int64  `json:"step_ms"`
		Series []line `json:"series"`
		More   bool   `json:"more,omitzero"`
	}{recent.Step.Milliseconds(), []line{}, more}
	for _, h := range all {
		l := line{Value: h.Value, From: h.From.UnixNano(), Values: make([]sample, len(h.Values))}
		for i, v := range h.Values {
			l.Values[i] = sample(v)
		}
		page.Series = append(page.Series, l)
	}
	return c.json(http.StatusOK, page)
}
