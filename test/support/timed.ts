/** Options of a test with a time limit: a busy machine may exceed it twice in a row. */
export const timingRetries = { retry: 2 }
