// Package wire holds the JSON Schemas, the golden messages and the page of the protocol of plugins true against the code.
package wire
