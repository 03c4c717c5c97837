/** For a story with a time to keep: a machine that has other things to do as well may take longer, though not three times in a row. */
export const timed = { retry: 2 }
