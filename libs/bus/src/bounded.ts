/** Waits for the work, but no longer than this; says whether it came to its end, well or not. */
export async function bounded(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const ended = () => true;
  try {
    return await Promise.race([work.then(ended, ended), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
