/** Does the work for each, at most so many at a time; the results stand in the order of what was given. */
export const eachOf = async <T, R>(all: readonly T[], atOnce: number, work: (one: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = []
  const left = all.entries()
  const worker = async (): Promise<void> => {
    for (const [i, one] of left) results[i] = await work(one)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, all.length) }, worker))
  return results
}
