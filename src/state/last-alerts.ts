import type { AlertsConfig } from '../config/alerts.js'
import type { StateFolder } from './state-folder.js'

const folder = ['alerts', 'last']

/** Keeps whom a configuration without a fault has told of what is wrong: of the next fault in it, they are told as well. */
export const keepLastAlerts = async (
  state: StateFolder,
  path: string,
  alerts: AlertsConfig | undefined,
): Promise<void> => {
  const text = alerts && `${JSON.stringify({ schema: 1, alerts })}\n`
  try {
    if ((await state.read([...folder, path])) === text) return
    await (text === undefined ? state.remove([...folder, path]) : state.write([...folder, path], text))
  } catch {
    // It is written down for the next run, which does so itself.
  }
}

export const hasLastAlerts = (state: StateFolder, path: string): boolean => state.isThereNow([...folder, path])

/** Undefined where there are none, or none that can be made sense of. */
export const lastAlerts = async (state: () => StateFolder, path: string): Promise<AlertsConfig | undefined> => {
  try {
    const { schema, alerts } = JSON.parse((await state().read([...folder, path])) ?? '') as KeptText
    return schema === 1 && Array.isArray(alerts.to) ? alerts : undefined
  } catch {
    return undefined
  }
}

interface KeptText {
  readonly schema: number
  readonly alerts: AlertsConfig
}
