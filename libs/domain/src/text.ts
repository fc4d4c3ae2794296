import { z } from 'zod';

/** Text as Postgres can hold it: a NUL or half of a surrogate pair would poison the append. */
export const text = (max: number, min = 0) =>
  z
    .string()
    .min(min)
    .max(max)
    .refine((value) => !value.includes('\u0000'), 'must not contain NUL characters')
    .refine((value) => !/\p{Surrogate}/u.test(value), 'must be well-formed Unicode');
