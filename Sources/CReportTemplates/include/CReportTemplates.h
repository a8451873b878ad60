#ifndef CREPORTTEMPLATES_H
#define CREPORTTEMPLATES_H

/// The files of Reports/Templates/, inside the program: a report needs no folder beside the command, wherever that was moved.
typedef struct {
    /// The file's name: "report.mustache".
    const char *_Nonnull name;
    /// UTF-8.
    const unsigned char *_Nonnull bytes;
    unsigned long size;
} crt_template;

/// How many there are.
int crt_template_count(void);
/// The one at `index`, 0 ..< crt_template_count().
crt_template crt_template_at(int index);

#endif
