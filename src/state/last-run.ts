import type { StateFolder } from './state-folder.js'

/** The last time that everything was looked after, by a timer or by hand: `last-run.json`. */
export interface LastRun {
  readonly schema: 1
  /** When it ended. */
  readonly at: string
  /** Its exit status. */
  readonly status: number
}

const file = 'last-run.json'

/** Never fails: the run itself matters more. */
export const keepLastRun = async (state: StateFolder, at: Date, status: number): Promise<void> => {
  const run: LastRun = { schema: 1, at: at.toISOString(), status }
  await state.write([file], `${JSON.stringify(run)}\n`, { mayBeLost: true }).catch(() => undefined)
}

/** Undefined where there was none, or where it cannot be read. */
export const readLastRun = async (state: StateFolder): Promise<LastRun | undefined> => {
  try {
    const run = JSON.parse((await state.read([file])) ?? '') as Partial<LastRun> | null
    const isSound = !Number.isNaN(Date.parse(run?.at ?? '')) && typeof run?.status === 'number'
    return run?.schema === 1 && isSound ? (run as LastRun) : undefined
  } catch {
    return undefined
  }
}
