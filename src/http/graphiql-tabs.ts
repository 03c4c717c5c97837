import type { GraphiQLOptions } from 'graphql-yoga'

const headers = JSON.stringify({ Authorization: 'Bearer <your token>' }, null, 2)

/** Each tab: what it shows, and the variables that the reader fills in from the answer of the tab before. */
const steps: { query: string; variables?: object }[] = [
  {
    query: `# 1. Put the token that the server printed at its first start into the tab "Headers" below,
#    here and in the tabs that follow. Then press play.
mutation CreateWorkspace {
  createWorkspace(input: { name: "Lab" }) {
    ... on CreateWorkspacePayload { workspace { id name slug } }
    ... on UserError { code message path }
  }
}
`,
  },
]

export const walkThrough: GraphiQLOptions = {
  headers,
  defaultTabs: steps.map(({ query, variables }) => ({
    query,
    headers,
    variables: variables ? JSON.stringify(variables, null, 2) : null,
  })),
}
