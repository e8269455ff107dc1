import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Children get no more than this of our environment: no proxy, no credential, no GODEBUG decides how they behave.
const path = (): { PATH: string } => ({ PATH: process.env['PATH'] ?? '/usr/bin:/bin' })

// Reads the list of living children, one line for each change of it, until whoever wrote it is gone.
const warden = 'pids=; while read -r line; do pids=$line; done; [ -z "$pids" ] || kill -9 $pids; rm -rf -- "$1"'

const alive = new Set<ChildProcess>()

process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

/**
 * A temporary folder and child processes that last no longer than this process does. An `exit` listener alone does not
 * promise that: a process that ends by a signal (a test runner's timeout) runs none. So a shell of its own session waits
 * at the other end of a pipe, which the system closes for us however we end, and cleans up.
 *
 * Nothing here keeps this process running.
 */
export class Keeper {
  readonly folder: string
  readonly #children = new Set<ChildProcess>()
  readonly #warden: ChildProcess

  private constructor(folder: string) {
    this.folder = folder
    this.#warden = spawn('/bin/sh', ['-c', warden, 'warden', folder], {
      detached: true,
      env: path(),
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#warden.unref()
  }

  static async open(prefix: string): Promise<Keeper> {
    return new Keeper(await mkdtemp(join(tmpdir(), prefix)))
  }

  /** What the child says goes to a file, not through a pipe: a line it wrote before it answered us is there to read. */
  run(command: string, args: readonly string[], env: Record<string, string>, log: string): ChildProcess {
    const output = openSync(log, 'a')
    const child = spawn(command, args, {
      cwd: this.folder,
      env: { ...path(), ...env },
      stdio: ['ignore', output, output],
    })
    closeSync(output)
    child.unref()
    alive.add(child)
    this.#children.add(child)
    child.once('exit', () => {
      alive.delete(child)
      this.#children.delete(child)
      this.#report()
    })
    this.#report()
    return child
  }

  async stop(child: ChildProcess): Promise<void> {
    if (hasEnded(child)) return
    // without this, an await of ours would not keep the process from ending
    child.ref()
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async close(): Promise<void> {
    await Promise.all([...this.#children].map((child) => this.stop(child)))
    if (!hasEnded(this.#warden)) {
      this.#warden.ref()
      const ended = once(this.#warden, 'exit')
      this.#warden.stdin?.end()
      await ended
    }
    await rm(this.folder, { recursive: true, force: true })
  }

  #report(): void {
    const pids = [...this.#children].map(({ pid }) => pid)
    this.#warden.stdin?.write(`${pids.join(' ')}\n`)
  }
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
