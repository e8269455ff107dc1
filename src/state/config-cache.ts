import type { ConfigCache } from '../config/config-cache.js'
import type { StateFolder } from './state-folder.js'

const root = 'cache'

/** Keeps the last configuration that was read, so that a timer does not read thousands of entries anew each time. */
export const configCache = (state: StateFolder): ConfigCache => {
  const fileOf = (key: string): string => `config-${key}.json`
  return {
    read: (key) => state.read([root, fileOf(key)]).catch(() => undefined),
    write: async (key, text) => {
      try {
        await state.sweep([root])
        await state.write([root, fileOf(key)], text)
        const others = (await state.list([root])).filter((one) => one.startsWith('config-') && one !== fileOf(key))
        await Promise.all(others.map((one) => state.remove([root, one])))
      } catch {
        // The next run reads the file itself once more.
      }
    },
  }
}
