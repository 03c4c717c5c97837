//go:build tools

// Keeps the code generator in go.mod.
package tools

import _ "github.com/Khan/genqlient"
