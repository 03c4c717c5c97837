import type { z } from 'zod'
import { limitSettings } from './settings-limits.ts'
import { serverSettings } from './settings-server.ts'
import { storageSettings } from './settings-storage.ts'

/** All environment variables of the application. No other module defines any. */
export const settings = { ...serverSettings, ...storageSettings, ...limitSettings }

export type SettingName = keyof typeof settings
export type Values = { [N in SettingName]: z.output<(typeof settings)[N]['schema']> }
