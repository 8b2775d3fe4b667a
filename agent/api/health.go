package api

import (
	"net/http"
	"runtime"

	"github.com/pacewire/pacewire/schemas"
)

// healthy answers as long as the process answers at all.
func (c *call) healthy() error { return c.text("ok\n") }

// ready answers 200 when the hub can do its work, else with the list of what is not.
func (c *call) ready() error {
	is := c.s.o.Hub.Status()
	waits := append([]string{}, is.Waits...)
	if conn := c.s.o.Conn(); conn == nil {
		waits = append(waits, "bus: no connection yet")
	} else if !conn.Connected() {
		waits = append(waits, "bus: "+conn.LastError().Error())
	}
	if !is.Ready && len(waits) == 0 {
		waits = append(waits, "hub")
	}
	status := http.StatusOK
	if len(waits) > 0 {
		status = http.StatusServiceUnavailable
	}
	return c.json(status, struct {
		Ready bool     `json:"ready"`
		Waits []string `json:"waits"`
	}{len(waits) == 0, waits})
}

func (c *call) status() error { return c.json(http.StatusOK, c.s.o.Hub.Status()) }

func (c *call) version() error {
	return c.json(http.StatusOK, struct {
		Version string `json:"version"`
		Go      string `json:"go"`
		OS      string `json:"os"`
		Arch    string `json:"arch"`
		API     string `json:"api"`
		Hub     string `json:"hub"`
	}{c.s.o.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, "v1", c.s.o.Hub.Status().ID})
}

func (c *call) openapi() error {
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = c.w.Write(schemas.OpenAPI()) // who is gone needs no answer
	return nil
}

func (c *call) text(text string) error {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = c.w.Write([]byte(text)) // who is gone needs no answer
	return nil
}
