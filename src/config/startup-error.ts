/** The server or command cannot start because of its environment. Each sentence says what to correct. */
export class StartupError extends Error {
  constructor(...sentences: string[]) {
    super(sentences.join('\n'))
  }
}
