import type { Setting } from './setting.ts'
import { type SettingName, settings, type Values } from './settings.ts'
import { StartupError } from './startup-error.ts'

export type Env = { [name: string]: string | undefined }

/**
 * Parses the settings from environment variables. Throws StartupError with one sentence for each invalid
 * variable.
 */
export function readValues(env: Env): Values {
  const names = Object.keys(settings) as SettingName[]
  // Compose files and shells pass an empty string for an unset variable.
  const read = names.map((name) => ({
    name,
    read: settings[name].schema.safeParse(env[name] || undefined),
  }))
  const wrong = read
    .filter(({ read }) => !read.success)
    .map(({ name }) => messageFor(name, env[name] ?? ''))
  if (wrong.length > 0) throw new StartupError(...wrong)
  return Object.fromEntries(read.map(({ name, read }) => [name, read.data])) as Values
}

const messageFor = (name: SettingName, value: string) =>
  `${name} is ${redact(name, value)}; it must be ${settings[name].expected}.`

/** Hides secrets and the passwords in URLs, because others may read terminals and logs. */
const redact = (name: SettingName, value: string) =>
  (settings[name] as Setting<unknown>).secret
    ? `${value.length} characters long`
    : JSON.stringify(value.replace(/\/\/[^/]*@/, '//…@'))
