// Package holdall is generated.
package holdall
