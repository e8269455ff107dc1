import { Shared } from './shared.js'
import type { Challenge, Solver } from './solver.js'
import { ownPort, type SolverSettings } from './solver-settings.js'

/** A solver that is open, and its user's to give back. */
export interface Lease {
  readonly solver: Solver
  release(): Promise<void>
}

interface Open {
  readonly solver: Solver
  readonly opening: Promise<void>
  users: number
}

/** Solvers that several orders use side by side: there is one port 80. One is closed when its last user is done. */
export class SharedSolvers {
  readonly #create: (settings: SolverSettings) => Solver
  readonly #open = new Map<string, Open>()
  /** Who needs which answers, by the same keys; those of a solver that is closed are needed by nobody. */
  readonly #needed = new Map<string, Shared>()
  /** A port that is being closed cannot be opened yet. */
  readonly #closing = new Map<string, Promise<void>>()

  /** @param create see `createSolver` */
  constructor(create: (settings: SolverSettings) => Solver) {
    this.#create = create
  }

  /** One for taking answers away with, which needs nothing to be open. @throws CertError USAGE */
  create(settings: SolverSettings): Solver {
    const solver = this.#create(settings)
    const needed = this.#needed.get(keyOf(settings))
    if (needed === undefined) return solver
    return {
      ...solver,
      // Whoever needs it now takes it away.
      cleanUp: async (challenge, all, signal) => {
        if (!needed.has(answerOf(challenge))) await solver.cleanUp(challenge, all, signal)
      },
    }
  }

  /** @throws CertError USAGE, SOLVER_FAILED */
  async take(settings: SolverSettings, signal: AbortSignal): Promise<Lease> {
    const key = keyOf(settings)
    await this.#closing.get(key)
    const shared = this.#open.get(key) ?? this.#begin(key, settings, signal)
    shared.users++
    const release = () => this.#release(key, shared)
    try {
      await shared.opening
    } catch (error) {
      await release()
      throw error
    }
    return { solver: shared.solver, release }
  }

  #begin(key: string, settings: SolverSettings, signal: AbortSignal): Open {
    const needed = new Shared()
    const solver = kept(this.#create(settings), needed)
    this.#needed.set(key, needed)
    const shared = { solver, opening: Promise.resolve(solver.open?.(signal)), users: 0 }
    shared.opening.catch(() => undefined)
    this.#open.set(key, shared)
    return shared
  }

  async #release(key: string, shared: Open): Promise<void> {
    shared.users--
    if (shared.users > 0 || this.#open.get(key) !== shared) return
    this.#open.delete(key)
    this.#needed.delete(key)
    const closing = Promise.resolve(shared.solver.close?.()).finally(() => this.#closing.delete(key))
    this.#closing.set(key, closing)
    await closing
  }
}

/** Takes an answer away when the last who put it there is done. */
const kept = (solver: Solver, needed: Shared): Solver => {
  if (solver.takesTurns) return solver
  return {
    ...solver,
    present: async (challenge, all, signal) => {
      needed.take(answerOf(challenge))
      await solver.present(challenge, all, signal)
    },
    cleanUp: async (challenge, all, signal) => {
      if (needed.release(answerOf(challenge))) await solver.cleanUp(challenge, all, signal)
    },
  }
}

const answerOf = ({ place, value }: Challenge): string => `${place} ${value}`

/**
 * What makes two solvers one. What was read from disk lacks what a fresh one has as `undefined`; and of a server nothing
 * matters but its port, which can be had only once.
 */
const keyOf = (settings: SolverSettings): string => {
  const { solver, challenge } = settings
  if (solver === 'standalone') return JSON.stringify([solver, challenge, ownPort(settings)])
  const known = Object.entries(settings).filter(([, value]) => value !== undefined)
  return JSON.stringify(known.sort(([a], [b]) => (a < b ? -1 : 1)))
}
