import { StartupError } from './config/startup-error.ts'

/**
 * Runs an operator command. Prints the message of a StartupError, `usage` for arguments that parseArgs
 * rejects, and any other error with its stack; the exit code is then 2.
 */
export function runCommand(main: () => Promise<void>, usage: string): void {
  main().catch((error) => {
    const isUsage = error?.code?.startsWith?.('ERR_PARSE_ARGS')
    console.error(error instanceof StartupError ? error.message : isUsage ? usage : error)
    process.exitCode = 2
  })
}
