package influxdb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/pacewire/pacewire/plugin"
)

// createDatabase makes the database; one that exists stays as it is.
func (c *client) createDatabase(ctx context.Context) error {
	form := url.Values{"q": {"CREATE DATABASE " + quote(c.at.database)}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.at.query.String(), strings.NewReader(form))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if auth := c.at.header.Get("Authorization"); auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("create database %q: %w", c.at.database, err)
	}
	defer resp.Body.Close()
	err = c.at.judge(resp)
	if r, ok := errors.AsType[*refusal](err); ok {
		err = plugin.Denied(r) // of the statement, not of points
	}
	if err != nil {
		return fmt.Errorf("create database %q: %w", c.at.database, err)
	}
	return nil
}

// quote returns name as an identifier of InfluxQL.
func quote(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(name) + `"`
}
