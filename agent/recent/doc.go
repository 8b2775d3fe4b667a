// Package recent keeps the latest value, and the last hour, of each series.
package recent
