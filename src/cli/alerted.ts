import { mayHaveAlerts } from '../config/load.js'
import { toCertError } from '../errors.js'
import { hasLastAlerts } from '../state/last-alerts.js'
import { StateFolder } from '../state/state-folder.js'
import type { AlertedRun, RunEnd } from './alert-run.js'
import { hasAlertVariable } from './alert-settings.js'
import type { Surroundings } from './command.js'
import { type Common, stateRoot } from './common-flags.js'
import { configPath } from './wanted-targets.js'

type Run<V, P> = (values: V, surroundings: Surroundings, parsed: P) => Promise<number>

interface Told {
  readonly command: string
  readonly typed: boolean
  /** The names of what was handed over; undefined, or an error, where they cannot be made out. */
  readonly about?: (surroundings: Surroundings, words: readonly string[]) => readonly string[] | undefined
}

/** A command after which those who want to know are told what is wrong, if it is news to them. */
export const alerted =
  <V extends Common & { readonly 'dry-run'?: boolean }, P extends { readonly words: readonly string[] }>(
    { command, typed, about }: Told,
    run: Run<V, P>,
  ): Run<V, P> =>
  async (values, surroundings, parsed) => {
    const called = command === 'hook' ? `hook ${parsed.words[0] ?? ''}` : command
    const tell = (end: RunEnd) =>
      afterRun({
        command,
        called,
        of: namesOf(() => about?.(surroundings, parsed.words)),
        values,
        surroundings,
        typed,
        end,
      })
    if (values['dry-run']) return await run(values, surroundings, parsed)
    let status: number
    try {
      status = await run(values, surroundings, parsed)
    } catch (error) {
      await tell({ error })
      throw error
    }
    await tell({ status })
    return status
  }

const namesOf = (about: () => readonly string[] | undefined): readonly string[] | undefined => {
  try {
    return about()
  } catch {
    return undefined
  }
}

const afterRun = async (run: AlertedRun): Promise<void> => {
  const { values, surroundings, typed, end } = run
  if (surroundings.signal.aborted || ('error' in end && isNobodysBusiness(end.error, typed))) return
  if (!hasAlertVariable(surroundings.environment) && !(await isInFile(values, surroundings, typed))) return
  const { tellAlerts } = await import('./alert-run.js')
  await tellAlerts(run)
}

/** Whoever typed it has seen it, and nothing was touched. */
const isNobodysBusiness = (error: unknown, typed: boolean): boolean => typed || toCertError(error).code === 'USAGE'

/** Mostly there is nobody to be told, which must cost nothing. A file that names nobody any more may be one with a fault. */
const isInFile = async (values: Common, surroundings: Surroundings, typed: boolean): Promise<boolean> => {
  try {
    const path = await configPath(values, surroundings, typed)
    if (path === undefined) return false
    if (await mayHaveAlerts(path).catch(() => false)) return true
    return hasLastAlerts(StateFolder.at(stateRoot(values, surroundings)), path)
  } catch {
    // Then nobody can be made out who would be told.
    return false
  }
}
